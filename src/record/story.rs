//! The story of a delivery for people, in the words of `waxseal check`.

use std::fmt::{self, Write as _};

use super::{
    AttemptView, ConnectionView, FactsView, HostFactsView, MtaStsView, Record, RuleInForce,
};

impl fmt::Display for RuleInForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.origin, self.level)?;
        if let Some(route) = &self.route {
            write!(f, ", route {route}")?;
        }
        if self.mode == "observe" {
            f.write_str(", observe")?;
        }
        match &self.reason {
            Some(reason) => write!(f, " ({reason})"),
            None => Ok(()),
        }
    }
}

/// What `rule` says of none.
pub const NO_RULE: &str = "none; built in: standard (floor may)";

impl Record {
    /// The story for people.
    pub fn story(&self) -> String {
        let mut out = String::new();
        let _ = self.write(&mut out);
        // Strangers wrote some of the names and reasons; a terminal must not obey them.
        let plain = |c: char| {
            if c.is_control() && c != '\n' {
                '\u{fffd}'
            } else {
                c
            }
        };
        out.chars().map(plain).collect()
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "id        {}", self.id)?;
        writeln!(out, "time      {}, after {:.1}s", self.time, self.elapsed)?;
        writeln!(out, "listener  {}", self.listener)?;
        writeln!(out, "domain    {}", self.domain)?;
        if let Some(sender) = &self.sender {
            writeln!(out, "sender    {sender}")?;
        }
        match &self.facts {
            None => writeln!(out, "facts     not known in time")?,
            Some(facts) => {
                match &self.rule {
                    Some(rule) => writeln!(out, "rule      {rule}")?,
                    None => writeln!(out, "rule      {NO_RULE}")?,
                }
                facts.write(out, &self.domain)?;
            }
        }
        for attempt in &self.attempts {
            attempt.write(out)?;
        }
        if let Some(connection) = &self.connection {
            connection.write(out)?;
        }
        if let Some(reply) = &self.reply {
            writeln!(out, "reply     {reply}")?;
        }
        writeln!(out, "verdict   {}: {}", self.result, self.verdict())
    }

    fn verdict(&self) -> String {
        let by = match self.policy.as_str() {
            "opportunistic" => "nobody demanded more",
            "rule" => "by word of the rule",
            "dane" => "by word of DANE",
            "mta-sts" => "by word of MTA-STS",
            other => other,
        };
        match (&self.why, self.result.as_str()) {
            (Some(why), _) => format!("{why} ({by})"),
            (None, "delivered") => {
                format!(
                    "{by}; {} recipients, {} octets",
                    self.recipients, self.bytes
                )
            }
            (None, "abandoned") => "the MTA gave up".to_owned(),
            (None, _) => "the MX said no".to_owned(),
        }
    }
}

impl FactsView {
    fn write(&self, out: &mut String, domain: &str) -> fmt::Result {
        if self.next_hop != domain {
            writeln!(out, "next hop  {}", self.next_hop)?;
        }
        if let Some(alias) = &self.alias {
            writeln!(out, "alias     of {alias}")?;
        }
        writeln!(out, "DNSSEC    MX {}", self.mx_security)?;
        self.mta_sts.write(out)?;
        self.write_hosts(out)
    }

    /// The hosts, and what each must prove.
    pub fn write_hosts(&self, out: &mut String) -> fmt::Result {
        if self.hosts.is_empty() {
            return writeln!(out, "hosts     none");
        }
        for host in &self.hosts {
            host.write(out)?;
        }
        for host in &self.hosts {
            if let Some(must) = &host.must {
                writeln!(out, "must      {}: {must}", host.host)?;
            }
        }
        Ok(())
    }
}

impl HostFactsView {
    fn write(&self, out: &mut String) -> fmt::Result {
        let addresses = match &self.no_address {
            Some(why) => why.clone(),
            None => self.addresses.join(", "),
        };
        let name = &self.host;
        writeln!(out, "host      {} {name}: {addresses}", self.preference)?;
        if let Some(named) = &self.mta_sts {
            writeln!(out, "MTA-STS   {name}: {named}")?;
        }
        for line in self.dane_lines() {
            writeln!(out, "DANE      {name}: {line}")?;
        }
        Ok(())
    }

    /// What is known of its TLSA records, each with whether it can be used.
    fn dane_lines(&self) -> Vec<String> {
        let dane = &self.dane;
        let why = dane.why.as_deref().unwrap_or_default();
        match &dane.owner {
            None if dane.state == "absent" => vec![format!("none: {why}")],
            None => vec![why.to_owned()],
            Some(owner) => {
                let records = dane.records.iter().map(|one| match &one.unusable {
                    None => one.record.clone(),
                    Some(why) => format!("{} (unusable: {why})", one.record),
                });
                std::iter::once(format!("TLSA of {owner}"))
                    .chain(records)
                    .collect()
            }
        }
    }
}

impl MtaStsView {
    fn write(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "MTA-STS   {}", self.state)?;
        for (word, value) in [
            ("id", &self.id),
            ("fetched", &self.fetched),
            ("expires", &self.expires),
        ] {
            if let Some(value) = value {
                writeln!(out, "MTA-STS   {word} {value}")?;
            }
        }
        Ok(())
    }
}

impl AttemptView {
    fn write(&self, out: &mut String) -> fmt::Result {
        let place = format!("{}[{}]", self.host, self.address);
        let why = self.why.as_deref().unwrap_or_default();
        match self.result.as_str() {
            "ready" => writeln!(out, "tried     {place}: ready"),
            "refused" => writeln!(out, "tried     {place}: refused the sender with {why}"),
            // A failure at an address begins with it.
            _ => writeln!(out, "tried     {why}"),
        }
    }
}

impl ConnectionView {
    fn write(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "sent to   {}[{}]", self.host, self.address)?;
        writeln!(out, "          must {}", self.must)?;
        if let Some(why) = &self.plaintext_because {
            writeln!(out, "          plaintext: {why}")?;
        }
        if let Some(tls) = &self.tls {
            let (version, cipher, group) = (&tls.version, &tls.cipher, &tls.key_exchange);
            let resumed = if tls.resumed { ", resumed" } else { "" };
            writeln!(out, "          {version} {cipher} {group}{resumed}")?;
            for (depth, print) in tls.chain.iter().enumerate() {
                writeln!(out, "          certificate {depth}: {print}")?;
            }
        }
        if let Some(found) = &self.tlsa {
            let (record, place) = (&found.record, &found.place);
            writeln!(out, "          TLSA {record}: matches {place}")?;
        }
        writeln!(out, "          authentication {}", self.authentication)?;
        if let Some(failure) = &self.would_block {
            writeln!(out, "          enforced it would be blocked: {failure}")?;
        }
        if let Some(testing) = &self.mta_sts_testing {
            writeln!(out, "          MTA-STS testing: {testing}")?;
        }
        Ok(())
    }
}
