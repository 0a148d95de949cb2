//! How exchanges are stored, and which are remembered.

use super::*;

const NOW: Instant =
    Instant { wall_ms: 1_700_000_000_000, steady: SteadyTime::from_millis(900_000), process: 7 };

fn token(number: u8) -> TokenDigest {
    TokenDigest { place: u64::from(number), digest: [number; 32] }
}

fn made(number: u8, ago_ms: u64) -> MadeExchange {
    MadeExchange { token: token(number), date: Date::of(NOW.before(ago_ms)), sealed: vec![number] }
}

fn tokens(exchanges: &Exchanges) -> Vec<(u64, bool)> {
    exchanges.made.iter().map(|made| (made.token.place, !made.sealed.is_empty())).collect()
}

#[test]
fn exchanges_are_read_as_they_were_written() {
    let (is_shared, was_shared) = (true, false);
    let exchanges = Exchanges { made: vec![made(1, 30), made(2, 20)], is_shared, was_shared };
    let text = encode(&exchanges);
    let last = (&[2; 32], NOW.wall_ms - 20, &[2][..]);
    let read = decode(Some(text.as_bytes()), last, token(3)).expect("it reads");
    assert_eq!(encode(&read), text);
    assert_eq!(tokens(&read), [(1, true), (2, true)]);
    assert!(decode(Some(b"[]"), last, token(3)).is_err());
    assert!(decode(Some(b"{}"), last, token(3)).is_err());
}

/// An earlier version stores only the last exchange.
#[test]
fn exchange_of_an_earlier_version_is_known() {
    let last = (&[9; 32], NOW.wall_ms - 20, &[9][..]);
    let of_another = encode(&Exchanges {
        made: vec![made(1, 30), made(2, 20)],
        is_shared: true,
        was_shared: true,
    });
    for written in [None, Some(of_another.as_bytes())] {
        let read = decode(written, last, token(4)).expect("it reads");
        assert_eq!(tokens(&read), [(3, true)]);
        assert_eq!((read.is_shared, read.was_shared), (false, false));
        assert_eq!(read.made[0].date.apart_ms(NOW), 20);
    }
}

#[test]
fn one_exchange_is_remembered_that_no_grace_reaches() {
    let mut exchanges = Exchanges::default();
    let over = EXCHANGE_WITHIN_MS + 1000;
    for (number, ago_ms) in [(1, over + 2), (2, over + 1), (3, over), (4, over - 1), (5, 0)] {
        exchanges.add(made(number, ago_ms), 1000, NOW);
    }
    exchanges.add(made(6, 0), 1000, NOW);
    assert_eq!(tokens(&exchanges), [(3, false), (4, true), (5, true), (6, true)]);
}

#[test]
fn of_too_many_the_first_and_last_are_remembered() {
    let mut exchanges = Exchanges::default();
    for number in 0..=200 {
        exchanges.add(made(number, 2_000 - u64::from(number) * 10), 1000, NOW);
    }
    let tokens = tokens(&exchanges);
    assert_eq!(tokens.len(), EARLIER_MAX + 1);
    assert_eq!((tokens[0].0, tokens[EARLIER_MAX]), (0, (200, true)));
    // They are spread over the time.
    let widest = tokens.windows(2).map(|pair| pair[1].0 - pair[0].0).max();
    assert!(widest < Some(100), "{tokens:?}");
}
