package server_test

import (
	"maps"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

// model is what the contract says of a platform, in as few words as do: each
// verb checks who asks, changes maps, and returns the status to be answered.
type model struct {
	users []string
	admin string
	apps  map[string]*modelApp
	certs map[string]string // name to owner
}

type modelApp struct {
	owner    string
	shared   map[string]platform.Role
	releases []modelConfig     // the last is current
	domains  map[string]string // to the certificate attached, or ""
	down     bool              // maintenance
	labels   map[string]string
	enforced string // https_enforced, as JSON
	allow    map[string]bool
}

type modelConfig struct{ values, memory map[string]string }

func (m *model) may(user, app string, need platform.Role) (*modelApp, int) {
	a := m.apps[app]
	if a == nil {
		return nil, 404
	}
	role := a.shared[user]
	if user == m.admin || user == a.owner {
		role = platform.RoleOwner
	}
	if !role.Covers(need) {
		return nil, 403
	}
	return a, 0
}

// serves finds the app of a domain.
func (m *model) serves(domain string) string {
	for id, a := range m.apps {
		if _, ok := a.domains[domain]; ok {
			return id
		}
	}
	return ""
}

func (m *model) create(user, id string) int {
	if m.apps[id] != nil || m.serves(id) != "" {
		return 400
	}
	m.apps[id] = &modelApp{
		owner: user, shared: map[string]platform.Role{}, releases: []modelConfig{{}}, domains: map[string]string{id: ""},
		labels: map[string]string{}, enforced: "null", allow: map[string]bool{},
	}
	return 201
}

func (m *model) destroy(user, id string) int {
	if _, refused := m.may(user, id, platform.RoleAdmin); refused != 0 {
		return refused
	}
	delete(m.apps, id)
	return 204
}

func (m *model) transfer(user, id, to string) int {
	a, refused := m.may(user, id, platform.RoleOwner)
	switch {
	case refused != 0:
		return refused
	case !slices.Contains(m.users, to):
		return 404
	case to != a.owner:
		delete(a.shared, to)
		a.owner = to
	}
	return 200
}

func (m *model) grant(user, id, to string, role platform.Role) int {
	a, refused := m.may(user, id, platform.RoleAdmin)
	switch {
	case refused != 0:
		return refused
	case !slices.Contains(m.users, to):
		return 404
	case to != a.owner:
		a.shared[to] = role
	}
	return 201
}

func (m *model) revoke(user, id, who string) int {
	need := platform.RoleAdmin
	if user == who {
		need = platform.RoleViewer
	}
	a, refused := m.may(user, id, need)
	switch {
	case refused != 0:
		return refused
	case !slices.Contains(m.users, who):
		return 404
	case a.shared[who] == "":
		return 403
	}
	delete(a.shared, who)
	return 204
}

// configure patches values and memory; "" removes.
func (m *model) configure(user, id string, values, memory map[string]string) int {
	a, refused := m.may(user, id, platform.RoleOperator)
	if refused != 0 {
		return refused
	}
	current := a.releases[len(a.releases)-1]
	next := modelConfig{maps.Clone(current.values), maps.Clone(current.memory)}
	if !patch(&next.values, values) || !patch(&next.memory, memory) {
		return 422
	}
	if maps.Equal(next.values, current.values) && maps.Equal(next.memory, current.memory) {
		return 409
	}
	a.releases = append(a.releases, next)
	return 201
}

// patch reports false when something is removed that is not there.
func patch(m *map[string]string, change map[string]string) bool {
	if *m == nil {
		*m = map[string]string{}
	}
	for key, value := range change {
		_, had := (*m)[key]
		switch {
		case value != "":
			(*m)[key] = value
		case !had:
			return false
		default:
			delete(*m, key)
		}
	}
	return true
}

// rollBack goes to a version, 0 being the one before the current.
func (m *model) rollBack(user, id string, version int) int {
	a, refused := m.may(user, id, platform.RoleDeployer)
	if refused != 0 {
		return refused
	}
	if version == 0 {
		version = len(a.releases) - 1
	}
	if version < 2 || version > len(a.releases) {
		return 400
	}
	a.releases = append(a.releases, a.releases[version-1])
	return 201
}

// scale cannot do anything: nothing is built.
func (m *model) scale(user, id string, quantity int) int {
	switch _, refused := m.may(user, id, platform.RoleOperator); {
	case refused != 0:
		return refused
	case quantity < 0:
		return 204 // no process type at all
	}
	return 400
}

func (m *model) addDomain(user, id, domain string) int {
	a, refused := m.may(user, id, platform.RoleOperator)
	switch {
	case refused != 0:
		return refused
	case m.serves(domain) != "":
		return 400
	case domain != id && m.apps[domain] != nil: // that app's default domain, which was removed
		if _, refused := m.may(user, domain, platform.RoleOperator); refused != 0 {
			return 400
		}
	}
	for other, b := range m.apps {
		if _, refused := m.may(user, other, platform.RoleOperator); refused != 0 && slices.ContainsFunc(slices.Collect(maps.Keys(b.domains)), overlapping(domain)) {
			return 409
		}
	}
	a.domains[domain] = ""
	return 201
}

// overlapping says which domains have hosts in common with one, when a wildcard
// counts as having its base.
func overlapping(domain string) func(string) bool {
	holds := func(wildcard, name string) bool {
		base, ok := strings.CutPrefix(wildcard, "*.")
		name = strings.TrimPrefix(name, "*.")
		return ok && (name == base || strings.HasSuffix(name, "."+base))
	}
	return func(other string) bool { return holds(domain, other) || holds(other, domain) }
}

func (m *model) removeDomain(user, id, domain string) int {
	a, refused := m.may(user, id, platform.RoleAdmin)
	if refused != 0 {
		return refused
	}
	if _, ok := a.domains[domain]; !ok {
		return 404
	}
	delete(a.domains, domain)
	return 204
}

// set changes settings: maintenance, and a label, where "" removes it.
func (m *model) set(user, id string, down bool, label, value string) int {
	a, refused := m.may(user, id, platform.RoleOperator)
	if refused != 0 {
		return refused
	}
	labels := maps.Clone(a.labels)
	if label != "" && !patch(&labels, map[string]string{label: value}) {
		return 422
	}
	if a.down == down && maps.Equal(labels, a.labels) {
		return 409
	}
	a.down, a.labels = down, labels
	return 201
}

func (m *model) enforce(user, id, enforced string) int {
	a, refused := m.may(user, id, platform.RoleOperator)
	switch {
	case refused != 0:
		return refused
	case a.enforced == enforced:
		return 409
	}
	a.enforced = enforced
	return 201
}

func (m *model) allowAddress(user, id, address string) int {
	a, refused := m.may(user, id, platform.RoleOperator)
	switch {
	case refused != 0:
		return refused
	case a.allow[address]:
		return 409
	}
	a.allow[address] = true
	return 201
}

func (m *model) disallowAddress(user, id, address string) int {
	a, refused := m.may(user, id, platform.RoleAdmin)
	switch {
	case refused != 0:
		return refused
	case !a.allow[address]:
		return 422
	}
	delete(a.allow, address)
	return 204
}

func (m *model) addCert(user, name string) int {
	if m.certs[name] != "" {
		return 400
	}
	m.certs[name] = user
	return 201
}

func (m *model) removeCert(user, name string) int {
	if m.certs[name] != user {
		return 404
	}
	delete(m.certs, name)
	for _, a := range m.apps {
		for domain, cert := range a.domains {
			if cert == name {
				a.domains[domain] = ""
			}
		}
	}
	return 204
}

func (m *model) attach(user, name, domain string) int {
	id := m.serves(domain)
	if m.certs[name] != user || id == "" {
		return 404
	}
	a, refused := m.may(user, id, platform.RoleOperator)
	switch {
	case refused != 0:
		return refused
	case a.domains[domain] != "":
		return 409
	}
	a.domains[domain] = name
	return 201
}

// detach takes a certificate back, which its owner always may.
func (m *model) detach(user, name, domain string) int {
	id := m.serves(domain)
	if m.certs[name] != user || id == "" {
		return 404
	}
	if domains := m.apps[id].domains; domains[domain] == name {
		domains[domain] = ""
	}
	return 204
}
