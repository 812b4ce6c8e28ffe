package platform

import "slices"

// Role says how much somebody may do with an app. Each includes those before
// it; a verb names the least one it needs.
type Role string

// The roles, from least to most.
const (
	// RoleViewer sees the app: releases, builds, pods, domains, settings, log.
	// Not its config, which holds secrets.
	RoleViewer Role = "viewer"
	// RoleDeployer also deploys: push, build, roll back, restart.
	RoleDeployer Role = "deployer"
	// RoleOperator also runs it: config, scale, run, exec, domains, settings.
	// It is the contract's collaborator: everything but deleting and sharing.
	RoleOperator Role = "operator"
	// RoleAdmin also deletes and shares.
	RoleAdmin Role = "admin"
	// RoleOwner also gives the app away or another name. It cannot be granted:
	// the app's owner and superusers have it.
	RoleOwner Role = "owner"
)

var roles = []Role{RoleViewer, RoleDeployer, RoleOperator, RoleAdmin, RoleOwner}

// Covers reports whether r may do what needs need. The empty role covers nothing.
func (r Role) Covers(need Role) bool {
	have := slices.Index(roles, r)
	return have >= 0 && have >= slices.Index(roles, need)
}

// Grantable reports whether r is a role that can be given on an app.
func (r Role) Grantable() bool { return slices.Contains(roles, r) && r != RoleOwner }

// Collaborator is somebody an app is shared with.
type Collaborator struct {
	User string
	Role Role
}

// Scope bounds what a token may do, whatever its user may. The zero Scope is
// no bound.
type Scope struct {
	// Role is the most the token may do with an app; empty: all its user may.
	Role Role
	// Apps are the only ones it reaches; empty: all of its user.
	Apps []string
}

// Bounded reports whether the scope takes anything away. A bounded token
// reaches apps alone: no users, keys, tokens, certificates or platform verbs.
func (s Scope) Bounded() bool { return s.Role != "" || len(s.Apps) > 0 }

// Allows reports whether a token of the scope may do with the app what needs need.
func (s Scope) Allows(app string, need Role) bool {
	return (s.Role == "" || s.Role.Covers(need)) && (len(s.Apps) == 0 || slices.Contains(s.Apps, app))
}
