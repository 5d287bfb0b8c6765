//! The workloads: who meets which load.

use crate::args::Workload;
use crate::load::Load;
use crate::stage::policies::ASKED;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

const RELAYS: &[&str] = &[
    "plain",
    "tls",
    "floor",
    "floor-pool",
    "waxseal-fresh",
    "waxseal",
    "stunnel",
    "postfix",
];

/// Without Postfix, which answers before the sink does.
const AT_ONCE: &[&str] = RELAYS.split_at(RELAYS.len() - 1).0;

/// What most of them send.
const SMALL: Load = Load {
    messages: 20_000,
    per_session: 20,
    at_a_time: 50,
    size: 4 * KIB,
    domains: 1,
    stubborn: false,
};

const ONE: Load = Load {
    messages: 5000,
    per_session: 1,
    ..SMALL
};

const CHAOS: Load = Load {
    messages: 2000,
    per_session: 5,
    domains: 100,
    stubborn: true,
    ..SMALL
};

impl Workload {
    pub(crate) fn contestants(self) -> &'static [&'static str] {
        match self {
            Self::One | Self::Twenty | Self::Domains | Self::Thousand | Self::Bulk => RELAYS,
            Self::Latency => AT_ONCE,
            Self::Threads => &["waxseal-1-thread", "waxseal"],
            Self::Chosen => &["tls", "floor", "waxseal-socks5", "stunnel"],
            Self::Huge | Self::Idle => &["floor", "floor-pool", "waxseal", "stunnel"],
            Self::Chaos => &["waxseal-fresh", "waxseal", "waxseal-socks5"],
            Self::Broken => &["acknowledges-early", "flips-a-bit", "sends-twice"],
            Self::Table16 | Self::Table64 => {
                &["echo", "waxseal-socketmap", "tlspol", "mta-sts-resolver"]
            }
            Self::Front => &[
                "postfix",
                "postfix-reuse",
                "postfix-plain",
                "postfix-waxseal",
                "postfix-waxseal-lmtp",
            ],
        }
    }

    pub(crate) fn load(self) -> Load {
        let questions = |at_a_time| Load {
            messages: 200_000,
            at_a_time,
            domains: ASKED,
            ..ONE
        };
        let domains = |domains| Load { domains, ..SMALL };
        match self {
            Self::One | Self::Chosen => ONE,
            Self::Twenty | Self::Threads => SMALL,
            Self::Domains => domains(100),
            Self::Front => Load {
                messages: 4000,
                ..domains(100)
            },
            Self::Thousand => domains(1000),
            Self::Bulk => Load {
                messages: 160,
                at_a_time: 8,
                size: 10 * MIB,
                ..ONE
            },
            Self::Huge => Load {
                messages: 1,
                at_a_time: 1,
                // With its head not more than what waxseal takes.
                size: 1024 * MIB - 64 * KIB,
                ..ONE
            },
            Self::Latency => Load {
                per_session: 5000,
                at_a_time: 1,
                ..ONE
            },
            Self::Idle => Load {
                messages: 2000,
                ..ONE
            },
            Self::Chaos | Self::Broken => CHAOS,
            Self::Table16 => questions(16),
            Self::Table64 => questions(64),
        }
    }

    /// What of a load this contestant gets: of some a part is enough, and takes long.
    pub(crate) fn share(self, name: &str, load: Load) -> Load {
        let part = match (self, name) {
            (Self::Front, _) => 1,
            (_, "postfix") => 5,
            (_, "mta-sts-resolver") => 4,
            _ => 1,
        };
        let messages = load.messages.div_ceil(part);
        Load { messages, ..load }
    }

    /// As much of it as a test takes.
    pub(crate) fn little(self) -> Load {
        let load = self.load();
        let messages = match self {
            Self::Bulk => 2,
            Self::Idle => 10,
            Self::Broken => 200,
            Self::Table16 | Self::Table64 => 2000,
            _ => 40,
        };
        Load {
            messages: messages.min(load.messages),
            size: load.size.min(10 * MIB),
            ..load
        }
    }

    /// Policy tables, and not for the delivery of mail.
    pub(crate) fn asks(self) -> bool {
        matches!(self, Self::Table16 | Self::Table64)
    }

    /// One step of the sink in so many goes wrong.
    pub(crate) fn odds(self) -> Option<u32> {
        match self {
            Self::Chaos => Some(60),
            // So that even few messages meet it.
            Self::Broken => Some(40),
            _ => None,
        }
    }
}
