//! Shows a notification on the desktop, and waits until it is closed.

use std::collections::HashMap;

use libbus::Result;
use libbus::blocking::{Connection, proxy};
use libbus::wire_types::Variant;

#[proxy(
    interface = "org.freedesktop.Notifications",
    default_service = "org.freedesktop.Notifications",
    default_path = "/org/freedesktop/Notifications"
)]
trait Notifications {
    fn notify(
        &self,
        app_name: &str,
        replaces_id: u32,
        app_icon: &str,
        summary: &str,
        body: &str,
        actions: &[&str],
        hints: &HashMap<&str, Variant<'_>>,
        expire_timeout: i32,
    ) -> Result<u32>;

    #[zbus(signal)]
    fn notification_closed(&self, id: u32, reason: u32) -> Result<()>;
}

fn main() -> Result<()> {
    let connection = Connection::session()?;
    let notifications = NotificationsProxy::new(&connection)?;
    let closed = notifications.receive_notification_closed()?;
    let hints = HashMap::from([("urgency", Variant::from(1_u8))]);
    let (text, no_actions) = ("This came over the bus.", [""; 0]);
    let id = notifications.notify("notify", 0, "", "Hello", text, &no_actions, &hints, 5000)?;
    for signal in closed {
        let arguments = signal.args()?;
        if arguments.id == id {
            println!("It was closed, for reason {}.", arguments.reason);
            break;
        }
    }
    Ok(())
}
