//! Tests of `socks`.

use proptest::prelude::*;

use super::*;

const BOTH: [Method; 2] = [Method::None, Method::Password];

#[test]
fn the_first_method_that_the_client_has_is_taken() {
    let taken = |input: &[u8], methods: &[Method]| negotiate(input, methods).unwrap().unwrap();
    assert_eq!(taken(&[5, 1, 0], &BOTH), (Method::None, 3));
    assert_eq!(taken(&[5, 2, 2, 0], &BOTH), (Method::None, 4));
    assert_eq!(
        taken(&[5, 2, 0, 2], &[Method::Password]),
        (Method::Password, 4)
    );
    let nothing = (Method::Unacceptable, 3);
    assert_eq!(taken(&[5, 1, 0], &[Method::Password]), nothing);
    assert_eq!(taken(&[5, 1, 1], &BOTH), nothing);
    assert_eq!(taken(&[5, 0], &BOTH), (Method::Unacceptable, 2));
    assert_eq!(taken(&[5, 1, 0xff], &BOTH), nothing);
    assert_eq!(Method::Unacceptable.chosen(), [5, 0xff]);
    assert_eq!(Method::Password.chosen(), [5, 2]);
}

#[test]
fn what_is_another_protocol_is_refused_at_its_first_octet() {
    for input in [&b"EHLO x\r\n"[..], &[4, 1, 0, 25], &[0x16, 3, 1]] {
        assert_eq!(negotiate(input, &BOTH), Err(NotSocks));
        assert_eq!(request(&input[..1]), Err(NotSocks));
        assert_eq!(request(input), Err(NotSocks));
    }
    assert_eq!(login(&[5]), Err(NotSocks));
}

#[test]
fn requests_name_an_address_or_a_host() {
    let asked = |input: &[u8]| request(input).unwrap().unwrap().0;
    let v4 = [5, 1, 0, 1, 192, 0, 2, 1, 0, 25];
    assert_eq!(
        asked(&v4),
        Ok(Target::Address("192.0.2.1:25".parse().unwrap()))
    );
    let v6 = [&[5, 1, 0, 4][..], &Ipv6Addr::LOCALHOST.octets(), &[0, 25]].concat();
    assert_eq!(asked(&v6), Ok(Target::Address("[::1]:25".parse().unwrap())));
    let named = |name: &str| {
        let length = u8::try_from(name.len()).unwrap();
        asked(&[&[5, 1, 0, 3, length][..], name.as_bytes(), &[0, 25]].concat())
    };
    let host = Target::Host("mx.example".parse().unwrap(), 25);
    assert_eq!(named("MX.example."), Ok(host));
    assert_eq!(
        named("192.0.2.1"),
        Ok(Target::Address("192.0.2.1:25".parse().unwrap()))
    );
    assert_eq!(named(""), Err(Reply::HostUnreachable));
    assert_eq!(named("a b"), Err(Reply::HostUnreachable));
    // BIND, and an address of a kind that there is not.
    assert_eq!(
        asked(&[5, 2, 0, 1, 0, 0, 0, 0, 0, 0]),
        Err(Reply::CommandNotSupported)
    );
    assert_eq!(asked(&[5, 1, 0, 9, 1, 2]), Err(Reply::AddressNotSupported));
}

#[test]
fn replies_tell_where_the_connection_was_made_from() {
    let v4 = Reply::Succeeded.octets("192.0.2.1:258".parse().unwrap());
    assert_eq!(v4, [5, 0, 0, 1, 192, 0, 2, 1, 1, 2]);
    let v6 = Reply::Refused.octets("[::1]:258".parse().unwrap());
    assert_eq!(v6.len(), 22);
    assert_eq!(v6[..4], [5, 5, 0, 4]);
}

#[test]
fn users_are_known_by_name_and_password() {
    let mut users = Users::default();
    users.add("mta:pass:word").unwrap();
    users.add("other:secret").unwrap();
    let knows = |user: &str, password: &str| {
        let (user, password) = (user.as_bytes(), password.as_bytes());
        users.knows(&Login { user, password })
    };
    assert!(knows("mta", "pass:word") && knows("other", "secret"));
    for (user, password) in [
        ("mta", "secret"),
        ("mta", "pass"),
        ("mt", "a"),
        ("", ""),
        ("MTA", "pass:word"),
    ] {
        assert!(!knows(user, password), "{user}");
    }
    for bad in ["mta", ":x", "x:", ""] {
        assert_eq!(users.clone().add(bad), Err(BadUser), "{bad}");
    }
    assert_eq!(format!("{users:?}"), "2 users");
    assert_eq!(
        format!(
            "{:?}",
            Login {
                user: b"mta",
                password: b"x"
            }
        ),
        "Login"
    );
}

proptest! {
    #[test]
    fn a_message_is_whole_with_its_last_octet_and_not_before(
        user in prop::collection::vec(any::<u8>(), 0..9),
        password in prop::collection::vec(any::<u8>(), 0..9),
        more in prop::collection::vec(any::<u8>(), 0..3),
    ) {
        let count = |octets: &[u8]| u8::try_from(octets.len()).unwrap();
        let mut wire = vec![1, count(&user)];
        wire.extend(&user);
        wire.push(count(&password));
        wire.extend(&password);
        for cut in 0..wire.len() {
            prop_assert_eq!(login(&wire[..cut]), Ok(None));
        }
        let length = wire.len();
        wire.extend(more);
        let whole = Login { user: &user, password: &password };
        prop_assert_eq!(login(&wire), Ok(Some((whole, length))));
    }

    #[test]
    fn no_octets_make_a_parser_read_more_than_there_is(input in prop::collection::vec(any::<u8>(), 0..40)) {
        let bounded = |length: usize| length <= input.len();
        let lengths = [
            negotiate(&input, &BOTH).map(|p| p.map(|p| p.1)),
            login(&input).map(|p| p.map(|p| p.1)),
            request(&input).map(|p| p.map(|p| p.1)),
        ];
        for length in lengths.into_iter().flatten().flatten() {
            prop_assert!(bounded(length));
        }
    }
}
