//! What must hold after every operation.

use super::{NameRegistry, id_of_key};

impl NameRegistry {
    /// Checks what the module promises, for tests.
    ///
    /// # Panics
    /// When the registry contradicts itself.
    pub fn check_invariants(&self) {
        assert_eq!(self.by_name.len(), self.queues.len(), "one index entry per name");
        assert_eq!(self.by_client.len(), self.places.len(), "one index entry per place");
        let mut queued = 0;
        for (id, queue) in &self.queues {
            assert_eq!(self.by_name.get(&queue.name).copied(), Some(id_of_key(id)));
            assert!(!queue.places.is_empty(), "{} has no owner", queue.name);
            for (place_id, place) in queue.places.iter(&self.places, |place| place.in_queue) {
                assert_eq!(place.queue, id_of_key(id), "a place of another queue");
                assert_eq!(self.place_of(place.queue, place.client), Some(place_id));
                queued += 1;
            }
        }
        assert_eq!(queued, self.places.len(), "each place is in a queue");
        self.check_clients();
    }

    fn check_clients(&self) {
        let (mut places, mut count) = (0, 0);
        for (client, holder) in self.clients.iter() {
            let own = holder.places.iter(&self.places, |place| place.of_client);
            let own_count = own.inspect(|(_, place)| assert_eq!(place.client, client)).count();
            assert!(own_count <= holder.counter.count as usize, "each place is counted");
            assert!(holder.counter.count <= holder.counter.peak);
            assert!(holder.counter.peak <= self.peak_count_per_client);
            places += own_count;
            count += holder.counter.count;
        }
        assert_eq!(places, self.places.len(), "each place is its client's");
        assert_eq!(count, self.counter.count, "the total is the sum");
        assert!(self.counter.count <= self.counter.peak);
    }
}
