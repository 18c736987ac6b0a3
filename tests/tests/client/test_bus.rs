//! The bus that the library starts for tests.

use std::fs;

use libbus::TestBus;
use libbus::blocking::Builder;

use crate::daemons;

#[test]
fn it_is_there_and_goes_with_all_that_it_has() {
    for daemon in daemons() {
        let bus = TestBus::start_program(&daemon.program).unwrap();
        let connection = Builder::address(bus.address()).unwrap().build().unwrap();
        connection.request_name("org.example.Name").unwrap();
        let services = bus.services_directory();
        let file = services.join("org.example.Service.service");
        fs::write(file, "[D-BUS Service]\nName=org.example.Service\nExec=/bin/false\n").unwrap();
        connection.bus().call::<_, ()>("ReloadConfig", &()).unwrap();
        let names: Vec<String> = connection.bus().call("ListActivatableNames", &()).unwrap();
        assert!(names.contains(&"org.example.Service".to_owned()), "{names:?}");
        drop(bus);
        assert!(!services.exists());
        assert!(connection.bus().call::<_, String>("GetId", &()).unwrap_err().is_disconnected());
    }
}

#[test]
fn a_program_that_is_no_bus_is_an_error() {
    let error = TestBus::start_program("/bin/true".as_ref()).unwrap_err();
    assert!(error.to_string().contains("/bin/true"), "{error}");
    assert!(TestBus::start_program("/nonexistent".as_ref()).is_err());
}
