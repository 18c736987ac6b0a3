//! rustbus.

use client_peers::{INTERFACE, Mode, NAME, PATH, TEXT, cannot, repeat};
use rustbus::connection::Timeout;
use rustbus::{MessageBuilder, RpcConn};

fn main() {
    let Mode::Call(count) = Mode::of_arguments() else { cannot() };
    let mut connection = RpcConn::session_conn(Timeout::Infinite).expect("a connection");
    repeat(count, || {
        let mut call =
            MessageBuilder::new().call("Echo").on(PATH).with_interface(INTERFACE).at(NAME).build();
        call.body.push_param(TEXT).expect("a string");
        let serial = connection.send_message(&mut call).expect("room").write_all();
        let serial = serial.map_err(|(_, error)| error).expect("a call that is sent");
        let reply = connection.wait_response(serial, Timeout::Infinite).expect("an answer");
        assert_eq!(reply.body.parser().get::<String>().expect("a string"), TEXT);
    });
}
