package keep

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/secret"
)

// Sealer seals the secrets in what is kept: environments, the keys of
// certificates, the registry's password. The rest stays readable, so that a
// machine whose keys are gone still knows what it runs and where requests go.
// The zero Sealer keeps secrets as they are.
type Sealer struct{ ring *secret.Ring }

// Seals is a Sealer with the keys of ring; nil: the zero Sealer.
func Seals(ring *secret.Ring) Sealer { return Sealer{ring} }

// Key names the key that is sealed under now: another one than before says
// that what was kept should be kept anew.
func (s Sealer) Key() string {
	if s.ring == nil {
		return ""
	}
	return s.ring.Newest()
}

var errNoKey = errors.New("sealed, and there is no key to open it with")

// Text seals a text; about names what it belongs to, and Open needs the same.
func (s Sealer) Text(plain, about string) string {
	if s.ring == nil || plain == "" {
		return plain
	}
	return s.ring.Seal([]byte(plain), about)
}

// OpenText undoes Text. A text that was never sealed is returned as it is.
// stale says that it should be sealed anew.
func (s Sealer) OpenText(text, about string) (plain string, stale bool, err error) {
	switch {
	case secret.KeyID(text) == "":
		return text, text != "" && s.ring != nil, nil
	case s.ring == nil:
		return "", false, errNoKey
	}
	opened, err := s.ring.Open(text, about)
	return string(opened), err == nil && s.ring.Stale(text), err
}

// sealedKey is the name that a sealed environment goes by as its only entry:
// no variable has it.
const sealedKey = ""

// Sealed reports whether an environment is one that Env made.
func Sealed(env map[string]string) bool {
	_, sealed := env[sealedKey]
	return sealed
}

// Env seals an environment whole: its names are nobody's business either. One
// that is sealed stays as it is.
func (s Sealer) Env(env map[string]string, about string) map[string]string {
	if s.ring == nil || len(env) == 0 || Sealed(env) {
		return env
	}
	text, err := json.Marshal(env)
	if err != nil { // strings alone
		return nil
	}
	return map[string]string{sealedKey: s.ring.Seal(text, about)}
}

// OpenEnv undoes Env, as OpenText undoes Text. With an error comes the
// environment as it was given.
func (s Sealer) OpenEnv(env map[string]string, about string) (plain map[string]string, stale bool, err error) {
	text, sealed := env[sealedKey]
	if !sealed {
		return env, len(env) > 0 && s.ring != nil, nil
	}
	opened, stale, err := s.OpenText(text, about)
	if err == nil {
		err = json.Unmarshal([]byte(opened), &plain)
	}
	if err != nil {
		return env, false, err
	}
	return plain, stale, nil
}

// Instance returns a spec with its environment sealed; the one given stays.
func (s Sealer) Instance(spec platform.InstanceSpec) platform.InstanceSpec {
	spec.Spec.Env = s.Env(spec.Spec.Env, envOf(spec.App))
	return spec
}

// OpenInstance undoes Instance. An environment that cannot be opened stays
// sealed, and err says why.
func (s Sealer) OpenInstance(spec platform.InstanceSpec) (opened platform.InstanceSpec, stale bool, err error) {
	spec.Spec.Env, stale, err = s.OpenEnv(spec.Spec.Env, envOf(spec.App))
	return spec, stale, err
}

func envOf(app string) string { return "environment of " + app }

// App returns an app's state with its secrets sealed; the one given stays.
func (s Sealer) App(state platform.AppState) platform.AppState {
	if s.ring == nil || len(state.Instances) == 0 {
		return state
	}
	once := make(map[uintptr]map[string]string) // the instances of a group share theirs
	instances := make([]platform.InstanceSpec, len(state.Instances))
	for n, i := range state.Instances {
		where := reflect.ValueOf(i.Spec.Env).Pointer()
		if once[where] == nil {
			once[where] = s.Env(i.Spec.Env, envOf(state.App))
		}
		i.Spec.Env = once[where]
		instances[n] = i
	}
	state.Instances = instances
	return state
}

// OpenApp undoes App. An environment that cannot be opened stays sealed, and
// err says why.
func (s Sealer) OpenApp(state platform.AppState) (opened platform.AppState, stale bool, err error) {
	opened = state
	opened.Instances = nil
	for _, i := range state.Instances {
		i.App = state.App
		i, old, failed := s.OpenInstance(i)
		if failed != nil {
			err = failed // one says it for all
		}
		opened.Instances = append(opened.Instances, i)
		stale = stale || old
	}
	return opened, stale, err
}

const registryPassword = "password of the registry"

func keyOf(c platform.EdgeCertificate) string { return "key for " + strings.Join(c.Hosts, " ") }

const ticketKey = "key of session tickets"

// Edge returns the edge's state with its secrets sealed; the one given stays.
func (s Sealer) Edge(edge platform.EdgeState) platform.EdgeState {
	if s.ring == nil {
		return edge
	}
	edge.RegistryPassword = s.Text(edge.RegistryPassword, registryPassword)
	edge.Tickets = slices.Clone(edge.Tickets)
	for i, t := range edge.Tickets {
		edge.Tickets[i].Key = s.Text(t.Key, ticketKey)
	}
	certificates := make([]platform.EdgeCertificate, 0, len(edge.Certificates))
	for _, c := range edge.Certificates {
		certificates = append(certificates, s.Certificate(c))
	}
	edge.Certificates = certificates
	return edge
}

// OpenEdge undoes Edge. What cannot be opened is left out, and err says why.
func (s Sealer) OpenEdge(edge platform.EdgeState) (opened platform.EdgeState, stale bool, err error) {
	opened = edge
	opened.RegistryPassword, stale, err = s.OpenText(edge.RegistryPassword, registryPassword)
	opened.Certificates, opened.Tickets = nil, nil
	for _, t := range edge.Tickets {
		key, old, failed := s.OpenText(t.Key, ticketKey)
		if failed != nil {
			err = failed
			continue
		}
		t.Key = key
		opened.Tickets = append(opened.Tickets, t)
		stale = stale || old
	}
	for _, c := range edge.Certificates {
		c, old, failed := s.OpenCertificate(c)
		if failed != nil {
			err = failed
			continue
		}
		opened.Certificates = append(opened.Certificates, c)
		stale = stale || old
	}
	return opened, stale, err
}

// Certificate returns a certificate with its key sealed; the one given stays.
func (s Sealer) Certificate(c platform.EdgeCertificate) platform.EdgeCertificate {
	c.Key = s.Text(c.Key, keyOf(c))
	return c
}

// OpenCertificate undoes Certificate. With an error comes one without a key.
func (s Sealer) OpenCertificate(c platform.EdgeCertificate) (opened platform.EdgeCertificate, stale bool, err error) {
	c.Key, stale, err = s.OpenText(c.Key, keyOf(c))
	return c, stale, err
}
