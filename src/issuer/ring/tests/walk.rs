//! Gateways whose clocks are apart keep one ring, through schedules, operators and longer tokens.

use super::*;

/// A token that a gateway signed.
struct Signed {
    key: Box<str>,
    /// `exp`, by the clock of that gateway.
    expires: i64,
}

/// What happens at a gateway.
#[derive(Clone, Debug)]
enum Event {
    /// It maintains the ring, as it does all the time.
    Upkeep,
    Operator(bool),
    /// It gets a configuration with longer tokens.
    Longer(i64),
    /// Time passes: this many seconds.
    Wait(i64),
}

/// How long after `exp` a token is accepted, in seconds.
const SKEW_S: i64 = 60;

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Upkeep),
        1 => any::<bool>().prop_map(Event::Operator),
        1 => (100..3000_i64).prop_map(Event::Longer),
        6 => (1..900_i64).prop_map(Event::Wait),
    ]
}

struct Gateways {
    ring: Ring,
    clocks: [i64; 3],
    /// The lifetime of the tokens that each gateway signs.
    lifetimes_s: [i64; 3],
    tokens: Vec<Signed>,
    /// The keys that had to be published first: when they were made, and by which gateway.
    published_first: Vec<(Box<str>, i64, usize)>,
}

impl Gateways {
    fn terms(&self, gateway: usize) -> Terms {
        Terms { reach_s: self.lifetimes_s[gateway] + SKEW_S, ..TERMS }
    }

    fn upkeep(&mut self, gateway: usize, real: i64) {
        let (terms, now) = (self.terms(gateway), at(real + self.clocks[gateway]));
        self.ring.raise_reach(terms.reach_s);
        self.ring.prune(now);
        if let Some(cause) = self.ring.due(&terms, &[], now) {
            self.add(gateway, cause.begins_to(), real);
        }
    }

    fn add(&mut self, gateway: usize, begins: BeginsTo, real: i64) {
        let now = real + self.clocks[gateway];
        let fresh = fresh();
        let added = self.ring.rotate(&fresh, begins, &self.terms(gateway), at(now));
        if added.is_ok() && begins == SignAfterPublication {
            self.published_first.push((fresh.id().into(), now, gateway));
        }
    }

    /// Each gateway signs a token.
    fn sign(&mut self, real: i64) {
        for (gateway, clock) in self.clocks.into_iter().enumerate() {
            let now = real + clock;
            // A gateway signs only with a key that it has seen, and seeing one includes this step.
            self.ring.raise_reach(self.terms(gateway).reach_s);
            let key = signing(&self.ring, &[], now).expect("a key that signs");
            for (id, made, by) in &self.published_first {
                let published_s = now - made;
                let is_early = gateway == *by && *id == key && published_s < TERMS.publish_before_s;
                assert!(!is_early, "published for {published_s} s");
            }
            self.tokens.push(Signed { key, expires: now + self.lifetimes_s[gateway] });
        }
    }

    /// Each gateway verifies every token.
    fn verify(&self, real: i64) {
        for clock in self.clocks {
            let alive = self.tokens.iter().filter(|token| real + clock < token.expires + SKEW_S);
            for token in alive {
                assert!(self.ring.key(&token.key).is_some(), "at {real}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]
    #[test]
    fn whatever_is_alive_can_be_verified_and_no_key_signs_before_it_was_published(
        clocks in prop::array::uniform3(-CLOCKS_APART_S / 2..=CLOCKS_APART_S / 2),
        events in prop::collection::vec((0..3_usize, event()), 1..120),
    ) {
        let mut real = 1_000_000;
        let lifetimes_s = [900; 3];
        let ring = Ring::default();
        let (tokens, published_first) = (Vec::new(), Vec::new());
        let mut gateways = Gateways { ring, clocks, lifetimes_s, tokens, published_first };
        gateways.upkeep(0, real);
        for (gateway, event) in events {
            match event {
                Event::Upkeep => gateways.upkeep(gateway, real),
                Event::Operator(true) => gateways.add(gateway, SignNow, real),
                Event::Operator(false) => gateways.add(gateway, SignAfterPublication, real),
                Event::Longer(lifetime_s) => {
                    let longest_s = gateways.lifetimes_s[gateway].max(lifetime_s);
                    gateways.lifetimes_s[gateway] = longest_s;
                    // As a reload does, before the configuration is in force.
                    gateways.ring.raise_reach(longest_s + SKEW_S);
                }
                Event::Wait(seconds) => real += seconds,
            }
            gateways.sign(real);
            gateways.verify(real);
        }
    }
}
