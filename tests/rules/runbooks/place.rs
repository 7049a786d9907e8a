//! Where the statements of a block hold: `sql primary since 15`, `sql until 16`, `sql pgbouncer`.

/// Of a block in SQL; what is not said does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Place {
    /// On the console of a PgBouncer, not on a server.
    pub is_pooler: bool,
    pub role: Option<Role>,
    /// The first version.
    pub since: Option<u32>,
    /// The last version.
    pub until: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Primary,
    Replica,
}

impl Place {
    /// Reads what stands behind the fence, the language first.
    pub fn parse(info: &str) -> Result<Place, String> {
        let mut place = Place::default();
        let mut words = info.split_whitespace().skip(1);
        while let Some(word) = words.next() {
            let mut major =
                || words.next().and_then(|major| major.parse().ok()).filter(|major| (13..=30).contains(major));
            match word {
                "primary" if place.role.is_none() => place.role = Some(Role::Primary),
                "replica" if place.role.is_none() => place.role = Some(Role::Replica),
                "pgbouncer" => place.is_pooler = true,
                "since" => place.since = Some(major().ok_or("`since` needs a version, such as 14")?),
                "until" => place.until = Some(major().ok_or("`until` needs a version, such as 16: the last")?),
                _ => return Err(format!("`{word}`: there are primary or replica, since N, until N, pgbouncer")),
            }
        }
        let is_of_server = place != Place { is_pooler: place.is_pooler, ..Place::default() };
        if place.is_pooler && is_of_server {
            return Err("a PgBouncer has no role and no version of PostgreSQL".to_owned());
        }
        Ok(place)
    }

    pub fn holds(&self, major: u32, role: Role) -> bool {
        let is_of_version =
            self.since.is_none_or(|since| major >= since) && self.until.is_none_or(|until| major <= until);
        !self.is_pooler && is_of_version && self.role.is_none_or(|own| own == role)
    }
}

#[test]
fn a_block_says_where_it_holds() {
    let place = Place::parse("sql primary since 15").expect("a place");
    assert!(place.holds(15, Role::Primary) && !place.holds(14, Role::Primary) && !place.holds(15, Role::Replica));
    let place = Place::parse("sql until 16").expect("a place");
    assert!(place.holds(16, Role::Replica) && !place.holds(17, Role::Primary));
    let place = Place::parse("sql pgbouncer").expect("a place");
    assert!(place.is_pooler && !place.holds(15, Role::Primary));
    for wrong in ["sql master", "sql since", "sql since ten", "sql pgbouncer since 14", "sql primary replica"] {
        assert!(Place::parse(wrong).is_err(), "{wrong}");
    }
}
