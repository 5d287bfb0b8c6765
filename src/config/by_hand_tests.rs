use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::by_hand::BY_HAND;
use super::*;
use crate::time::UnixTime;

/// 2027-01-15T08:00:00Z
const NOW: UnixTime = UnixTime(1_800_000_000);

struct Home(tempfile::TempDir, Config);

impl Home {
    fn new(files: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("policies");
        fs::create_dir(&folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        let config = Config::parse("", &home.path().join("waxseal.toml")).unwrap();
        Self(home, config)
    }

    fn text(&self) -> String {
        fs::read_to_string(self.0.path().join("policies").join(BY_HAND)).unwrap()
    }

    fn add(&self, domains: &[&str], tls: &str) -> Result<Stored, String> {
        let mut file = ByHand::open(&self.1, NOW).map_err(|error| error.to_string())?;
        file.add(&draft(domains, tls))
            .map_err(|error| error.to_string())?;
        file.store().map_err(|error| self.strip(&error))
    }

    fn expire(&self, domains: &[&str], senders: &[&str]) -> Result<(), String> {
        let words = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        let scope = Scope {
            domains: words(domains),
            senders: words(senders),
            ..Scope::default()
        };
        let mut file = ByHand::open(&self.1, NOW).map_err(|error| error.to_string())?;
        file.expire(&scope).map_err(|error| self.strip(&error))?;
        file.store().map(drop).map_err(|error| self.strip(&error))
    }

    fn strip(&self, error: &RuleError) -> String {
        let home = format!("{}/", self.0.path().display());
        error.to_string().replace(&home, "")
    }
}

fn draft(domains: &[&str], tls: &str) -> Draft {
    Draft {
        domains: domains.iter().map(ToString::to_string).collect(),
        tls: tls.to_owned(),
        ..Draft::default()
    }
}

#[test]
fn a_first_rule_makes_the_file_and_others_follow() {
    let home = Home::new(&[]);
    home.add(&["a.example", ".a.example"], "encrypt").unwrap();
    home.add(&["b.example"], "may").unwrap();
    let text = home.text();
    let (head, rules) = text.split_once("\n\n").unwrap();
    assert!(head.starts_with("# Rules of `waxseal rule add`."), "{head}");
    assert_eq!(
        rules,
        "[[rule]]\ndomains = [\"a.example\", \".a.example\"]\ntls = \"encrypt\"\n\n\
         [[rule]]\ndomains = [\"b.example\"]\ntls = \"may\"\n"
    );
    assert_eq!(read_rules(&home.1, NOW).unwrap().entries, 2);
}

#[test]
fn comments_stay_where_they_are() {
    let before =
        "# mine\n\n[[rule]] # first\ndomains = ['a.example'] # who\ntls = 'may'\n# the end\n";
    let home = Home::new(&[(BY_HAND, before)]);
    home.add(&["b.example"], "encrypt").unwrap();
    let added = "\n[[rule]]\ndomains = [\"b.example\"]\ntls = \"encrypt\"\n";
    assert_eq!(home.text(), format!("{before}{added}"));
    home.expire(&["a.example"], &[]).unwrap();
    let expired = before.replace("'may'\n", "'may'\nexpires = 2027-01-15T08:00:00Z\n");
    assert_eq!(home.text(), format!("{expired}{added}"));
}

#[test]
fn a_set_that_would_not_load_is_refused_and_the_file_stays() {
    let other = "[[rule]]\ndomains = ['a.example']\ntls = 'may'\n";
    let home = Home::new(&[("10.toml", other), (BY_HAND, "# empty\n")]);
    let refused = |domain, tls| home.add(&[domain], tls).unwrap_err();
    assert_eq!(
        refused("a.example", "encrypt"),
        "policies/80-by-hand.toml:3:1: there is a rule for the same domain and sender at 10.toml:1; remove one of them"
    );
    assert_eq!(
        refused("b..example", "encrypt"),
        "policies/80-by-hand.toml:4:12: `b..example` is not a domain: a label of the name is empty or longer than 63 characters"
    );
    assert!(refused("b.example", "fingerprint").contains("needs `fingerprints`"));
    assert_eq!(home.text(), "# empty\n");
}

#[test]
fn a_rule_expires_and_another_takes_its_place() {
    let home = Home::new(&[]);
    home.add(&["a.example"], "encrypt").unwrap();
    home.expire(&["A.example"], &[]).unwrap();
    let again = home.expire(&["a.example"], &[]).unwrap_err();
    assert_eq!(
        again,
        "the rule at 80-by-hand.toml:3 has expired already, on 2027-01-15T08:00:00Z"
    );
    home.add(&["a.example"], "secure").unwrap();
    home.expire(&["a.example"], &[]).unwrap();
    assert_eq!(home.text().matches("expires = 2027").count(), 2);
}

#[test]
fn an_expiry_that_is_there_is_changed_in_its_place() {
    let rule = "[[rule]]\ndomains = ['a.example']\nexpires = 2030-01-01 # ticket 1\ntls = 'may'\n";
    let home = Home::new(&[(BY_HAND, rule)]);
    home.expire(&["a.example"], &[]).unwrap();
    assert_eq!(
        home.text(),
        rule.replace("2030-01-01 ", "2027-01-15T08:00:00Z ")
    );
}

#[test]
fn what_people_write_is_theirs_to_change() {
    let theirs = "\n[[rule]]\ndomains = ['a.example']\ntls = 'may'\n";
    let own =
        "[[rule]]\ndomains = ['b.example', '.b.example']\nsenders = ['s.example']\ntls = 'may'\n";
    let home = Home::new(&[("10.toml", theirs), (BY_HAND, own)]);
    let refused = |domains: &[&str], senders: &[&str]| home.expire(domains, senders).unwrap_err();
    assert_eq!(
        refused(&["a.example"], &[]),
        "the rule for a.example stands at policies/10.toml:2, which people write; put `expires = 2027-01-15T08:00:00Z` there"
    );
    assert_eq!(
        refused(&["b.example"], &["s.example"]),
        "the rule at 80-by-hand.toml:1 is also for .b.example from s.example; name all of them, or edit the file"
    );
    assert_eq!(
        refused(&["b.example"], &[]),
        "there is no such rule for b.example, but one for mail from s.example at 80-by-hand.toml:1; choose with --sender"
    );
    assert!(refused(&["c.example"], &[]).contains("`waxseal rule list`"));
    assert!(refused(&["c@d.example"], &[]).contains("mail address"));
    home.expire(&["b.example", ".b.example"], &["s.example"])
        .unwrap();
}

#[test]
fn the_file_keeps_its_mode_and_nothing_is_left_beside_it() {
    let home = Home::new(&[]);
    home.add(&["a.example"], "encrypt").unwrap();
    let folder = home.0.path().join("policies");
    let mode = || {
        fs::metadata(folder.join(BY_HAND))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(), 0o644);
    fs::set_permissions(folder.join(BY_HAND), fs::Permissions::from_mode(0o640)).unwrap();
    home.add(&["b.example"], "encrypt").unwrap();
    assert_eq!(mode(), 0o640);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}
