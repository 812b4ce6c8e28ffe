package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"maps"
	"math/big"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/slipway-paas/slipway/internal/platform"
)

// walk is one sequence of requests, and the model beside it. Names carry the
// walk's number: many walks go over one platform.
type walk struct {
	*door
	*rapid.T
	*model
	prefix     string
	chain, key string // PEM of a certificate
}

// TestMain lets the drawn tests draw little, unless -rapid.checks says how much.
func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "rapid.checks" })
	if !chosen {
		_ = flag.Set("rapid.checks", "40")
	}
	os.Exit(m.Run())
}

func TestRandomRequestsAreAnsweredAsTheModelSays(t *testing.T) {
	t.Parallel()
	d := openStreet(t)
	d.register("dave")
	chain, key := selfSigned(t)
	walks, steps := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		walks++
		w := &walk{door: d, T: t, prefix: fmt.Sprintf("w%d-", walks), chain: chain, key: key, model: &model{
			users: []string{"ada", "bob", "carol", "dave"}, admin: "ada", apps: map[string]*modelApp{}, certs: map[string]string{},
		}}
		defer w.sweep()
		w.ask(w.create("bob", w.prefix+"a"), "bob", "POST", "/v2/apps/", `{"id":"`+w.prefix+`a"}`)
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { // after each: the status says most, the state the rest
				if steps++; steps%5 == 0 {
					w.compare()
				}
			},
			"create":  w.doCreate,
			"destroy": w.doDestroy, "transfer": w.doTransfer, "grant": w.doGrant, "revoke": w.doRevoke,
			"config": w.doConfig, "more config": w.doConfig, "rollback": w.doRollback, "scale": w.doScale,
			"add domain": w.doAddDomain, "remove domain": w.doRemoveDomain,
			"settings": w.doSettings, "tls": w.doTLS, "allow": w.doAllow, "disallow": w.doDisallow,
			"add cert": w.doAddCert, "remove cert": w.doRemoveCert, "attach": w.doAttach, "detach": w.doDetach,
		})
		w.compare()
	})
}

// ask compares the status of an answer with the model's.
func (w *walk) ask(want int, user, method, path, body string) {
	w.Helper()
	response := w.do(user, method, path, body)
	data := read(response)
	if response.StatusCode != want {
		w.Fatalf("%s: %s %s %s: got %d %s, want %d", user, method, path, body, response.StatusCode, data, want)
	}
	w.checkDescribed(method, path, response.StatusCode, response.Header.Get("Content-Type"), data)
}

func (w *walk) one(t *rapid.T, label string, of ...string) string {
	return rapid.SampledFrom(of).Draw(t, label)
}

func (w *walk) user(t *rapid.T) string { return w.one(t, "user", w.users...) }
func (w *walk) app(t *rapid.T) string  { return w.prefix + w.one(t, "app", "a", "b") }

// keeper is whose certificate it is, or anybody.
func (w *walk) keeper(t *rapid.T, name string) string {
	if owner := w.certs[name]; owner != "" && rapid.Bool().Draw(t, "as owner") {
		return owner
	}
	return w.user(t)
}

func (w *walk) cert(t *rapid.T) string { return w.prefix + w.one(t, "cert", "x", "y") }

// asker is anybody, and every other time the app's owner, so that more is done
// than refused.
func (w *walk) asker(t *rapid.T, app string) string {
	if a := w.apps[app]; a != nil && rapid.Bool().Draw(t, "as owner") {
		return a.owner
	}
	return w.user(t)
}

// domain may be the name of an app as well, which is the app's own.
func (w *walk) domain(t *rapid.T) string {
	return w.one(t, "domain", w.prefix+"a", w.prefix+"b", w.prefix+"d.example.com",
		w.prefix+"e.example.com", "*."+w.prefix+"e.example.com", "x."+w.prefix+"e.example.com", "*.x."+w.prefix+"e.example.com")
}

func at(app, rest string) string { return "/v2/apps/" + app + "/" + rest }

func (w *walk) doCreate(t *rapid.T) {
	app := w.app(t)
	user := w.asker(t, app)
	w.ask(w.create(user, app), user, "POST", "/v2/apps/", `{"id":"`+app+`"}`)
}

func (w *walk) doDestroy(t *rapid.T) {
	app := w.app(t)
	user := w.asker(t, app)
	if rapid.IntRange(0, 3).Draw(t, "mercy") > 0 {
		t.Skip("apps are to grow old")
	}
	w.ask(w.destroy(user, app), user, "DELETE", at(app, ""), "")
}

func (w *walk) doTransfer(t *rapid.T) {
	app := w.app(t)
	user, to := w.asker(t, app), w.one(t, "to", append(w.users, "zoe")...)
	w.ask(w.transfer(user, app, to), user, "POST", at(app, ""), `{"owner":"`+to+`"}`)
}

func (w *walk) doGrant(t *rapid.T) {
	app := w.app(t)
	user, to := w.asker(t, app), w.one(t, "to", append(w.users, "zoe")...)
	role := w.one(t, "role", "", "viewer", "deployer", "operator", "admin")
	body := `{"username":"` + to + `","role":"` + role + `"}`
	if role == "" {
		role, body = "operator", `{"username":"`+to+`"}`
	}
	w.ask(w.grant(user, app, to, platform.Role(role)), user, "POST", at(app, "perms/"), body)
}

func (w *walk) doRevoke(t *rapid.T) {
	app := w.app(t)
	user, who := w.asker(t, app), w.one(t, "who", append(w.users, "zoe")...)
	w.ask(w.revoke(user, app, who), user, "DELETE", at(app, "perms/"+who), "")
}

func (w *walk) doConfig(t *rapid.T) {
	app := w.app(t)
	user := w.asker(t, app)
	values := rapid.MapOfN(rapid.SampledFrom([]string{"A", "B"}), rapid.SampledFrom([]string{"", "1", "2"}), 0, 2).Draw(t, "values")
	memory := rapid.MapOfN(rapid.SampledFrom([]string{"web"}), rapid.SampledFrom([]string{"", "64M"}), 0, 1).Draw(t, "memory")
	body, _ := json.Marshal(map[string]any{"values": nulls(values), "memory": nulls(memory)})
	w.ask(w.configure(user, app, values, memory), user, "POST", at(app, "config/"), string(body))
}

// nulls is the patch as JSON says it: null removes.
func nulls(patch map[string]string) map[string]any {
	out := map[string]any{}
	for key, value := range patch {
		if out[key] = value; value == "" {
			out[key] = nil
		}
	}
	return out
}

func (w *walk) doRollback(t *rapid.T) {
	app := w.app(t)
	user, version := w.asker(t, app), rapid.IntRange(0, 6).Draw(t, "version")
	body := fmt.Sprintf(`{"version":%d}`, version)
	if version == 0 {
		body = ""
	}
	w.ask(w.rollBack(user, app, version), user, "POST", at(app, "releases/rollback/"), body)
}

func (w *walk) doScale(t *rapid.T) {
	app := w.app(t)
	user, quantity := w.asker(t, app), rapid.IntRange(-1, 2).Draw(t, "quantity")
	body := fmt.Sprintf(`{"web":%d}`, quantity)
	if quantity < 0 {
		body = `{}`
	}
	w.ask(w.scale(user, app, quantity), user, "POST", at(app, "scale/"), body)
}

func (w *walk) doAddDomain(t *rapid.T) {
	app := w.app(t)
	user, domain := w.asker(t, app), w.domain(t)
	w.ask(w.addDomain(user, app, domain), user, "POST", at(app, "domains/"), `{"domain":"`+domain+`"}`)
}

func (w *walk) doRemoveDomain(t *rapid.T) {
	app := w.app(t)
	user, domain := w.asker(t, app), w.domain(t)
	w.ask(w.removeDomain(user, app, domain), user, "DELETE", at(app, "domains/"+domain), "")
}

func (w *walk) doSettings(t *rapid.T) {
	app := w.app(t)
	user := w.asker(t, app)
	down, label, value := rapid.Bool().Draw(t, "down"), w.one(t, "label", "", "l"), w.one(t, "value", "", "1")
	body := map[string]any{"maintenance": down}
	if label != "" {
		body["label"] = nulls(map[string]string{label: value})
	}
	data, _ := json.Marshal(body)
	w.ask(w.set(user, app, down, label, value), user, "POST", at(app, "settings/"), string(data))
}

func (w *walk) doTLS(t *rapid.T) {
	app := w.app(t)
	user, enforced := w.asker(t, app), w.one(t, "enforced", "true", "false")
	w.ask(w.enforce(user, app, enforced), user, "POST", at(app, "tls/"), `{"https_enforced":`+enforced+`}`)
}

func (w *walk) doAllow(t *rapid.T) {
	app := w.app(t)
	user, address := w.asker(t, app), w.one(t, "address", "192.0.2.1", "10.0.0.0/8")
	w.ask(w.allowAddress(user, app, address), user, "POST", at(app, "whitelist/"), `{"addresses":["`+address+`"]}`)
}

func (w *walk) doDisallow(t *rapid.T) {
	app := w.app(t)
	user, address := w.asker(t, app), w.one(t, "address", "192.0.2.1", "10.0.0.0/8")
	w.ask(w.disallowAddress(user, app, address), user, "DELETE", at(app, "whitelist/"), `{"addresses":["`+address+`"]}`)
}

func (w *walk) doAddCert(t *rapid.T) {
	name := w.cert(t)
	user := w.keeper(t, name)
	body, _ := json.Marshal(map[string]string{"name": name, "certificate": w.chain, "key": w.key})
	w.ask(w.addCert(user, name), user, "POST", "/v2/certs/", string(body))
}

func (w *walk) doRemoveCert(t *rapid.T) {
	name := w.cert(t)
	user := w.keeper(t, name)
	w.ask(w.removeCert(user, name), user, "DELETE", "/v2/certs/"+name, "")
}

func (w *walk) doAttach(t *rapid.T) {
	name := w.cert(t)
	user, domain := w.keeper(t, name), w.domain(t)
	w.ask(w.attach(user, name, domain), user, "POST", "/v2/certs/"+name+"/domain/", `{"domain":"`+domain+`"}`)
}

func (w *walk) doDetach(t *rapid.T) {
	name := w.cert(t)
	user, domain := w.keeper(t, name), w.domain(t)
	w.ask(w.detach(user, name, domain), user, "DELETE", "/v2/certs/"+name+"/domain/"+domain, "")
}

// sweep leaves nothing for the next walk.
func (w *walk) sweep() {
	for app := range w.apps {
		w.status("ada", "DELETE", at(app, ""), "")
	}
	for name, owner := range w.certs {
		w.status(owner, "DELETE", "/v2/certs/"+name, "")
	}
}

// compare looks at everything there is through the door.
func (w *walk) compare() {
	for _, user := range w.users {
		var apps, certs []string
		for id, a := range w.apps {
			if user == w.admin || user == a.owner || a.shared[user] != "" {
				apps = append(apps, id)
			}
		}
		for name, owner := range w.certs {
			if owner == user {
				certs = append(certs, name)
			}
		}
		w.same(user+"'s apps", apps, w.names(user, "/v2/apps/", "id", true))
		w.same(user+"'s certs", certs, w.names(user, "/v2/certs/", "name", true))
	}
	for id, a := range w.apps {
		w.compareApp(id, a)
	}
	for name, owner := range w.certs {
		var domains []string
		for _, a := range w.apps {
			for domain, cert := range a.domains {
				if cert == name {
					domains = append(domains, domain)
				}
			}
		}
		var cert struct{ Domains []string }
		w.get(owner, "/v2/certs/"+name, &cert)
		w.same("domains of "+name, domains, cert.Domains)
	}
}

func (w *walk) compareApp(id string, a *modelApp) {
	var app struct{ Owner string }
	var config struct{ Values, Memory map[string]string }
	var perms struct{ Roles map[string]platform.Role }
	var releases struct {
		Count   int
		Results []struct {
			Version int
			Failed  bool
		}
	}
	var settings struct {
		Maintenance bool
		Label       map[string]string
		Whitelist   []string
	}
	var tls struct {
		Enforced json.RawMessage `json:"https_enforced"`
	}
	for path, into := range map[string]any{"": &app, "config/": &config, "perms/": &perms, "releases/?limit=1": &releases, "settings/": &settings, "tls/": &tls} {
		w.get("ada", at(id, path), into)
	}
	current := a.releases[len(a.releases)-1]
	newest := releases.Results[0]
	switch {
	case app.Owner != a.owner, string(tls.Enforced) != a.enforced, settings.Maintenance != a.down:
		w.Fatalf("%s: got %+v %s %+v, want %+v", id, app, tls.Enforced, settings, a)
	case releases.Count != len(a.releases) || newest.Version != releases.Count || newest.Failed:
		w.Fatalf("%s: got %+v, want %d releases", id, releases, len(a.releases))
	}
	w.equal(id+" values", current.values, config.Values)
	w.equal(id+" memory", current.memory, config.Memory)
	w.equal(id+" labels", a.labels, settings.Label)
	if !maps.Equal(a.shared, perms.Roles) {
		w.Fatalf("%s is shared with %v, want %v", id, perms.Roles, a.shared)
	}
	w.same(id+" whitelist", slices.Collect(maps.Keys(a.allow)), settings.Whitelist)
	w.same(id+" domains", slices.Collect(maps.Keys(a.domains)), w.names("ada", at(id, "domains/"), "domain", false))
}

func (w *walk) get(user, path string, into any) {
	response := w.do(user, "GET", path, "")
	data := read(response)
	if err := json.Unmarshal(data, into); err != nil || response.StatusCode != 200 {
		w.Fatalf("%s: GET %s: %d %s %v", user, path, response.StatusCode, data, err)
	}
}

// names are one field of a list's results; of this walk alone when mine.
func (w *walk) names(user, path, field string, mine bool) []string {
	var list struct{ Results []map[string]any }
	w.get(user, path+"?limit=1000", &list)
	var names []string
	for _, item := range list.Results {
		if name := fmt.Sprint(item[field]); !mine || strings.HasPrefix(name, w.prefix) {
			names = append(names, name)
		}
	}
	return names
}

func (w *walk) same(what string, want, got []string) {
	w.Helper()
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		w.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func (w *walk) equal(what string, want, got map[string]string) {
	w.Helper()
	if len(want)+len(got) > 0 && !reflect.DeepEqual(want, got) {
		w.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func selfSigned(t *testing.T) (chain, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "example.com"}, DNSNames: []string{"example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}
