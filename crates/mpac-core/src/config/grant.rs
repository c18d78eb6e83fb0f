//! Which of the roles somebody asks for are granted (ROL-01 to ROL-10, D-043).

use alloc::vec::Vec;

use mpac_wire::PrincipalId;
use mpac_wire::names::{PrincipalType, Role};
use mpac_wire::policy::RolePolicy;

use super::SessionConfig;

/// What the roles mean that a credential grants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialRoles {
    /// Nothing is expected of credentials. Those that grant roles all the same count as for `Limit`.
    #[default]
    Absent,
    /// A role must be allowed by the credential and by the role policy; without a policy by the credential alone
    /// (ROL-10, D-123).
    Limit,
    /// The roles of a credential stand in place of the role policy: for hosts whose verifier is the authority.
    Override,
}

/// Somebody who says HELLO.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a host that asks what it would grant makes one")]
pub struct Applicant<'a> {
    /// Who.
    pub principal: &'a PrincipalId,
    /// What.
    pub principal_type: &'a PrincipalType,
    /// The roles asked for.
    pub asked: &'a [Role],
    /// The roles that the credential grants, where it speaks of roles (ROL-10).
    pub credential: Option<&'a [Role]>,
}

impl SessionConfig {
    /// The roles granted to `who`, given how many others hold each; `None` is nothing at all.
    ///
    /// A role policy and a credential that speaks of roles both must allow a role. Without either, an open session
    /// grants what was asked for (ROL-01), any other nothing (ROL-02). Nobody gets more than was allowed, not even by
    /// default (ROL-08).
    pub fn grant(&self, who: &Applicant<'_>, others_with: impl Fn(&Role) -> u64) -> Option<Vec<Role>> {
        let by_credential = |role: &Role| who.credential.is_none_or(|roles| roles.contains(role));
        let policy = self
            .role_policy
            .as_ref()
            .filter(|_| who.credential.is_none() || self.credential_roles != CredentialRoles::Override);
        let Some(policy) = policy else {
            if who.credential.is_none() {
                return self.is_open().then(|| who.asked.to_vec());
            }
            let granted: Vec<Role> = who.asked.iter().filter(|role| by_credential(role)).cloned().collect();
            return (!granted.is_empty()).then_some(granted);
        };
        let default: Vec<Role> = policy.default_role.iter().cloned().collect();
        let assigned = policy.role_assignments.as_ref().and_then(|roles| roles.get(who.principal.as_str()));
        let allowed = assigned.unwrap_or(&default);
        let may_have = |role: &Role| {
            let constraint = policy.role_constraints.as_ref().and_then(|all| all.get(role.as_str()));
            let max = constraint.and_then(|constraint| constraint.max_count.as_ref());
            by_credential(role)
                && self.suits(policy, who, role)
                && max.is_none_or(|max| others_with(role) < max.get())
        };
        let asked = who.asked.iter().filter(|role| allowed.contains(role) && may_have(role));
        let granted: Vec<Role> = asked.cloned().collect();
        if !granted.is_empty() {
            return Some(granted);
        }
        let fallback: Vec<Role> = default.into_iter().filter(may_have).collect();
        (!fallback.is_empty()).then_some(fallback)
    }

    /// Whether this kind of principal may hold a role. Outside the open profile an agent is an arbiter only where the
    /// policy says that agents may be (GOV-12), or a credential that is the policy grants it.
    fn suits(&self, policy: &RolePolicy, who: &Applicant<'_>, role: &Role) -> bool {
        let types = policy
            .role_constraints
            .as_ref()
            .and_then(|all| all.get(role.as_str()))
            .and_then(|constraint| constraint.allowed_principal_types.as_ref());
        match types {
            Some(types) => types.contains(who.principal_type),
            None => self.is_open() || *role != Role::Arbiter || *who.principal_type != PrincipalType::Agent,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use mpac_wire::SessionId;
    use mpac_wire::names::SecurityProfile;

    use super::*;

    fn config(policy: Option<&str>) -> SessionConfig {
        let mut config = SessionConfig::new(SessionId::new("s").unwrap());
        config.role_policy = policy.map(|policy| serde_json::from_str(policy).unwrap());
        config
    }

    /// What `p` gets that asks for owner and arbiter.
    fn grant(
        config: &SessionConfig,
        kind: PrincipalType,
        credential: Option<&[Role]>,
        others: u64,
    ) -> Option<Vec<Role>> {
        let principal = PrincipalId::new("p").unwrap();
        let asked = [Role::Owner, Role::Arbiter];
        let who = Applicant { principal: &principal, principal_type: &kind, asked: &asked, credential };
        config.grant(&who, |_| others)
    }

    #[test]
    fn roles_are_the_asked_ones_that_are_allowed_and_unconstrained() {
        let mut config = config(Some(
            r#"{"default_role":"contributor","role_assignments":{"p":["owner","arbiter"]},
                "role_constraints":{"arbiter":{"max_count":1},"owner":{"allowed_principal_types":["human"]}}}"#,
        ));
        let human = |config: &SessionConfig| grant(config, PrincipalType::Human, None, 0);
        assert_eq!(human(&config), Some(vec![Role::Owner, Role::Arbiter]));
        assert_eq!(grant(&config, PrincipalType::Agent, None, 0), Some(vec![Role::Arbiter]));
        assert_eq!(grant(&config, PrincipalType::Agent, None, 1), Some(vec![Role::Contributor]));
        let policy = config.role_policy.as_mut().unwrap();
        policy.role_assignments = None;
        assert_eq!(human(&config), Some(vec![Role::Contributor]));
    }

    #[test]
    fn a_credential_grants_no_more_than_the_policy_and_the_policy_no_more_than_the_credential() {
        let both = config(Some(r#"{"default_role":"contributor","role_assignments":{"p":["owner"]}}"#));
        let human =
            |config: &SessionConfig, roles: &[Role]| grant(config, PrincipalType::Human, Some(roles), 0);
        assert_eq!(human(&both, &[Role::Owner, Role::Arbiter]), Some(vec![Role::Owner]));
        assert_eq!(human(&both, &[Role::Contributor]), Some(vec![Role::Contributor]));
        assert_eq!(human(&both, &[Role::Observer]), None, "not even the default");
        let mut instead = both.clone();
        instead.credential_roles = CredentialRoles::Override;
        assert_eq!(human(&instead, &[Role::Arbiter]), Some(vec![Role::Arbiter]));
        assert_eq!(
            grant(&instead, PrincipalType::Human, None, 0),
            Some(vec![Role::Owner]),
            "it says nothing"
        );
        let alone = config(None);
        assert_eq!(human(&alone, &[Role::Arbiter]), Some(vec![Role::Arbiter]));
        assert_eq!(human(&alone, &[Role::Observer]), None);
    }

    #[test]
    fn outside_the_open_profile_nothing_is_granted_for_the_asking() {
        let mut closed = config(None);
        closed.security_profile = SecurityProfile::Authenticated;
        assert_eq!(grant(&closed, PrincipalType::Human, None, 0), None);
        // An agent is no arbiter unless the policy says that agents may be.
        closed.role_policy = Some(serde_json::from_str(r#"{"role_assignments":{"p":["arbiter"]}}"#).unwrap());
        assert_eq!(grant(&closed, PrincipalType::Agent, None, 0), None);
        let policy = r#"{"role_assignments":{"p":["arbiter"]},"role_constraints":{"arbiter":{"allowed_principal_types":["agent"]}}}"#;
        closed.role_policy = Some(serde_json::from_str(policy).unwrap());
        assert_eq!(grant(&closed, PrincipalType::Agent, None, 0), Some(vec![Role::Arbiter]));
    }
}
