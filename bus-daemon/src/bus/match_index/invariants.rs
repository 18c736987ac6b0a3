//! What must hold after every operation.

use super::keys::ShapesInUse;
use super::{
    MatchIndex, Node, RuleSender, id_of_key, is_vague, watched_destination, watched_sender,
};

impl MatchIndex {
    /// Checks what the module promises, for tests.
    ///
    /// # Panics
    /// When the index contradicts itself.
    pub fn check_invariants(&self) {
        assert_eq!(self.by_rule.len(), self.nodes.len(), "one index entry per node");
        let mut shapes = ShapesInUse::default();
        let mut watches = 0;
        for (id, node) in &self.nodes {
            self.check_subscribers(id_of_key(id), node);
            assert_eq!(self.by_rule.get(&node.rule).copied(), Some(id_of_key(id)));
            watches += usize::from(watched_sender(&node.rule).is_some());
            watches += usize::from(watched_destination(&node.rule).is_some());
            self.bucket_of(id_of_key(id)).into_iter().for_each(|(shape, _)| shapes.add(shape));
        }
        assert!(shapes.equals(&self.shapes), "the shapes of the nodes that are not dormant");
        self.check_buckets();
        self.check_watchers(watches);
        self.check_counts();
    }

    fn check_subscribers(&self, id: u32, node: &Node) {
        assert!(!node.subscribers.is_empty(), "{} has no subscriber", node.rule);
        for (position, subscriber) in node.subscribers.iter().enumerate() {
            let positions = &self.clients.get(subscriber.client).map(|client| &client.positions);
            let noted = positions.and_then(|positions| positions.get(&id)).copied();
            assert_eq!(noted, Some(id_of_key(position)), "the client knows its position");
            assert!(subscriber.count > 0);
        }
    }

    fn check_buckets(&self) {
        let mut count = 0;
        for (bucket, chain) in &self.buckets {
            assert!(!chain.is_empty());
            for (id, _) in chain.iter(&self.nodes, |node| node.in_bucket) {
                assert_eq!(self.bucket_of(id).map(|(_, bucket)| bucket), Some(*bucket));
                count += 1;
            }
        }
        let awake = self.nodes.iter().filter(|(_, node)| node.sender != RuleSender::Nobody);
        assert_eq!(count, awake.count(), "each node that is not dormant is in a bucket");
    }

    fn check_watchers(&self, expected: usize) {
        let mut count = 0;
        for (name, watchers) in &self.watched_names {
            assert!(self.first_watcher(name).is_some(), "nobody watches {name}");
            for (_, node) in watchers.as_sender.iter(&self.nodes, |node| node.of_sender) {
                assert_eq!(watched_sender(&node.rule), Some(&**name));
                count += 1;
            }
            let destinations = watchers.as_destination;
            for (_, node) in destinations.iter(&self.nodes, |node| node.of_destination) {
                assert_eq!(watched_destination(&node.rule), Some(&**name));
                count += 1;
            }
        }
        assert_eq!(count, expected, "each name in a rule is watched");
    }

    fn check_counts(&self) {
        let (mut total, mut subscriptions) = (0, 0);
        for (client, known) in self.clients.iter() {
            let rules = self.rules_of(client).map(|(_, count)| count);
            assert_eq!(rules.sum::<u32>(), known.counter.count);
            assert!(known.counter.count <= known.counter.peak);
            let vague = self.rules_of(client).filter(|(rule, _)| is_vague(rule)).count();
            assert_eq!(vague, known.vague_count as usize);
            assert!(known.counter.peak <= self.peak_count_per_client);
            total += known.counter.count;
            subscriptions += known.positions.len();
        }
        let subscribers: usize = self.nodes.iter().map(|(_, node)| node.subscribers.len()).sum();
        assert_eq!(subscribers, subscriptions, "each subscription is its client's");
        assert_eq!(total, self.counter.count, "the total is the sum");
        assert!(total <= self.counter.peak);
    }
}
