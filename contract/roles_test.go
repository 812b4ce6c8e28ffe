package contract_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Who may ask a row, from everybody to the builder alone. The roles on an app
// are those of the platform.
const (
	forEverybody  = "everybody"
	forKnown      = "who has a token, whatever its scope"
	forAccounts   = "who has a token without a scope"
	forViewers    = "viewer"
	forDeployers  = "deployer"
	forOperators  = "operator"
	forAdmins     = "admin"
	forOwners     = "owner"
	forSuperusers = "superusers, with a token without a scope"
	forBuilder    = "the builder"
)

// ladder is the roles, each with what those before it may.
var ladder = []string{forViewers, forDeployers, forOperators, forAdmins, forOwners}

// grants is who may ask each route of the API, and with what. <app> is an app
// with config, <user> somebody who is nothing to it. Where body is empty the
// request has none.
var grants = []struct{ row, may, body string }{
	{"GET /healthz", forEverybody, ""},
	{"GET /readiness", forEverybody, ""},
	{"GET /v2/openapi.json", forEverybody, ""},
	{"GET /v2/", forKnown, ""},
	{"GET /v2/platform/", forKnown, ""},
	{"GET /v2/doctor/", forSuperusers, ""},
	{"GET /v2/metrics/", forSuperusers, ""},

	{"POST /v2/auth/register/", forSuperusers, `{"username":"<new>","password":"correct horse"}`},
	{"POST /v2/auth/login/", forEverybody, `{"username":"<user>","password":"<password>"}`},
	{"GET /v2/auth/whoami/", forKnown, ""},
	{"POST /v2/auth/passwd/", forAccounts, `{"password":"no","new_password":""}`},
	{"POST /v2/auth/tokens/", forSuperusers, `{"username":"<user>"}`},
	{"DELETE /v2/auth/cancel/", forSuperusers, `{"username":"<user>"}`},
	{"GET /v2/users/", forSuperusers, ""},
	{"GET /v2/admin/perms/", forSuperusers, ""},
	{"POST /v2/admin/perms/", forSuperusers, `{"username":"<user>"}`},
	{"DELETE /v2/admin/perms/<user>", forSuperusers, ""},
	{"GET /v2/audit/", forSuperusers, ""},
	{"GET /v2/audit/?app=<app>", forAdmins, ""},
	{"GET /v2/tokens/", forAccounts, ""},
	{"POST /v2/tokens/", forAccounts, `{"name":"<new>"}`},
	{"DELETE /v2/tokens/{name}", forAccounts, ""},
	{"GET /v2/keys/", forAccounts, ""},
	{"POST /v2/keys/", forAccounts, `{"id":"k","public":"no key"}`},
	{"GET /v2/keys/{id}", forAccounts, ""},
	{"DELETE /v2/keys/{id}", forAccounts, ""},
	{"GET /v2/certs/", forAccounts, ""},
	{"POST /v2/certs/", forAccounts, `{"name":"c","certificate":"none","key":"none"}`},
	{"GET /v2/certs/{name}", forAccounts, ""},
	{"DELETE /v2/certs/{name}", forAccounts, ""},
	{"POST /v2/certs/{name}/domain/", forAccounts, `{"domain":"<app>"}`},
	{"DELETE /v2/certs/{name}/domain/{domain}", forAccounts, ""},
	{"POST /v2/images/gc/", forSuperusers, `{"dry_run":true}`},
	{"GET /v2/apps/<app>/images/", forViewers, ""},
	{"POST /v2/apps/<app>/images/quota/", forSuperusers, `{"mib":100000}`},
	{"GET /v2/apps/<app>/images/{digest}/", forViewers, ""},
	{"GET /v2/stacks/", forAccounts, ""},
	{"POST /v2/stacks/", forSuperusers, `{"suite":"No Suite"}`},
	{"POST /v2/stacks/use/", forSuperusers, `{"stack":"none"}`},
	{"DELETE /v2/stacks/{name}/", forSuperusers, ""},
	{"GET /v2/groups/", forAccounts, ""},
	{"POST /v2/groups/", forAccounts, `{"name":"<new>"}`},
	{"GET /v2/groups/{name}", forAccounts, ""},
	{"POST /v2/groups/{name}", forAccounts, `{"values":{"A":"1"}}`},
	{"DELETE /v2/groups/{name}", forAccounts, ""},

	{"GET /v2/apps/", forKnown, ""},
	{"POST /v2/apps/", forAccounts, `{"id":"<new>"}`},
	{"GET /v2/apps/<app>/", forViewers, ""},
	{"POST /v2/apps/<app>/", forOwners, `{"owner":"<user>"}`},
	{"DELETE /v2/apps/<app>/", forAdmins, ""},
	{"POST /v2/apps/<app>/rename/", forOwners, `{"id":"<new>"}`},
	{"GET /v2/apps/<app>/perms/", forViewers, ""},
	{"POST /v2/apps/<app>/perms/", forAdmins, `{"username":"<user>","role":"viewer"}`},
	{"DELETE /v2/apps/<app>/perms/{username}", forAdmins, ""},
	{"GET /v2/apps/<app>/logs", forViewers, ""},
	{"GET /v2/apps/<app>/run", forOperators, "?command=env"},
	{"POST /v2/apps/<app>/run", forOperators, `{"command":"env"}`},
	{"POST /v2/apps/<app>/scale/", forOperators, `{"web":0}`},
	{"GET /v2/apps/<app>/builds/", forViewers, ""},
	{"POST /v2/apps/<app>/builds/", forDeployers, `{"image":"some/image"}`},
	{"GET /v2/apps/<app>/builds/{uuid}/", forViewers, ""},
	{"GET /v2/apps/<app>/config/", forOperators, ""},
	{"POST /v2/apps/<app>/config/", forOperators, `{"values":{"MORE":"1"}}`},
	{"GET /v2/apps/<app>/releases/", forViewers, ""},
	{"POST /v2/apps/<app>/releases/rollback/", forDeployers, `{"version":2}`},
	{"GET /v2/apps/<app>/releases/v2/", forViewers, ""},
	{"GET /v2/apps/<app>/releases/v2/sbom/", forViewers, ""},
	{"GET /v2/apps/<app>/releases/v2/provenance/", forViewers, ""},
	{"POST /v2/apps/<app>/rebase/", forDeployers, ""},
	{"GET /v2/apps/<app>/pods/", forViewers, ""},
	{"POST /v2/apps/<app>/pods/restart/", forDeployers, ""},
	{"GET /v2/apps/<app>/pods/{type}/", forViewers, ""},
	{"POST /v2/apps/<app>/pods/{type}/restart/", forDeployers, ""},
	{"GET /v2/apps/<app>/pods/{type}/{name}/", forViewers, ""},
	{"POST /v2/apps/<app>/pods/{type}/{name}/restart/", forDeployers, ""},
	{"GET /v2/apps/<app>/pods/{type}/{name}/exec", forOperators, "?command=env"},
	{"GET /v2/apps/<app>/domains/", forViewers, ""},
	{"POST /v2/apps/<app>/domains/", forOperators, `{"domain":"<new>.example.com"}`},
	{"DELETE /v2/apps/<app>/domains/<app>", forAdmins, ""},
	{"GET /v2/apps/<app>/settings/", forViewers, ""},
	{"POST /v2/apps/<app>/settings/", forOperators, `{"maintenance":true}`},
	{"GET /v2/apps/<app>/whitelist/", forViewers, ""},
	{"POST /v2/apps/<app>/whitelist/", forOperators, `{"addresses":["192.0.2.1"]}`},
	{"DELETE /v2/apps/<app>/whitelist/", forAdmins, `{"addresses":["192.0.2.1"]}`},
	{"GET /v2/apps/<app>/tls/", forViewers, ""},
	{"POST /v2/apps/<app>/tls/", forOperators, `{"https_enforced":true}`},
	{"GET /v2/apps/<app>/tls/certificates/", forViewers, ""},
	{"POST /v2/apps/<app>/tls/certificates/", forOperators, `{"automatic":true}`},
	{"GET /v2/apps/<app>/services/", forViewers, ""},
	{"POST /v2/apps/<app>/services/", forOperators, `{"procfile_type":"web","path_pattern":"/x"}`},
	{"DELETE /v2/apps/<app>/services/", forAdmins, `{"procfile_type":"web"}`},
	{"GET /v2/apps/<app>/edge/", forViewers, ""},
	{"GET /v2/apps/<app>/edge/status/", forViewers, ""},
	{"POST /v2/apps/<app>/edge/", forOperators, `{"max_body":"10M"}`},
	{"DELETE /v2/apps/<app>/edge/", forOperators, ""},
	{"GET /v2/apps/<app>/ports/", forViewers, ""},
	{"POST /v2/apps/<app>/ports/", forOperators, `{"procfile_type":"web","port":9000}`},
	{"DELETE /v2/apps/<app>/ports/{listen}", forAdmins, ""},
	{"GET /v2/apps/<app>/cutover/", forViewers, ""},
	{"POST /v2/apps/<app>/cutover/", forOperators, `{"strategy":"staged"}`},
	{"POST /v2/apps/<app>/cutover/promote/", forDeployers, ""},
	{"POST /v2/apps/<app>/cutover/abort/", forDeployers, ""},
	{"GET /v2/apps/<app>/volumes/", forViewers, ""},
	{"POST /v2/apps/<app>/volumes/", forOperators, `{"name":"data"}`},
	{"DELETE /v2/apps/<app>/volumes/{name}", forOperators, ""},
	{"GET /v2/apps/<app>/crons/", forViewers, ""},
	{"POST /v2/apps/<app>/crons/", forOperators, `{"process":"nightly","schedule":"@daily"}`},
	{"GET /v2/apps/<app>/crons/{type}/", forViewers, ""},
	{"DELETE /v2/apps/<app>/crons/{type}/", forOperators, ""},
	{"GET /v2/apps/<app>/crons/{type}/runs/", forViewers, ""},
	{"POST /v2/apps/<app>/crons/{type}/runs/", forOperators, ""},
	{"GET /v2/apps/<app>/crons/{type}/runs/{uuid}/", forViewers, ""},
	{"GET /v2/apps/<app>/groups/", forViewers, ""},
	{"POST /v2/apps/<app>/groups/", forOperators, `{"group":"none"}`},
	{"DELETE /v2/apps/<app>/groups/{name}", forOperators, ""},

	{"GET /v2/hooks/key/{fingerprint}", forBuilder, ""},
	{"GET /v2/hooks/keys/<app>", forBuilder, ""},
	{"GET /v2/hooks/keys/<app>/{username}", forBuilder, ""},
	{"POST /v2/hooks/config/", forBuilder, `{"receive_user":"<owner>","receive_repo":"<app>"}`},
	{"POST /v2/hooks/build/", forBuilder, `{"receive_user":"<owner>","receive_repo":"<app>","image":"some/image"}`},
}

// A value of config must be in no answer to whom config is not for.
const configSecret = "distinctive-config-value"

// person asks the rows. Their role on an app is that of the user, bounded by
// the token's.
type person struct {
	name    string
	user    *user  // nil: nobody
	role    string // on the app; "": none
	bounded bool
	super   bool
}

func (who person) may(grant string) bool {
	switch grant {
	case forEverybody:
		return true
	case forKnown:
		return who.user != nil
	case forAccounts:
		return who.user != nil && !who.bounded
	case forSuperusers:
		return who.super
	case forBuilder:
		return false
	}
	return slices.Index(ladder, who.role) >= slices.Index(ladder, grant)
}

// people are one of each kind, and two tokens of the owner. The apps are made
// by the owner; join shares one with them.
func people(t *testing.T, p *platform) (all []person, of *user, join func(app string)) {
	t.Helper()
	of = p.user(t)
	elsewhere := of.app(t)
	all = []person{
		{name: "nobody"},
		{name: "a stranger", user: p.user(t)},
		{name: "an owner", user: of, role: forOwners},
		{name: "a superuser", user: p.admin, role: forOwners, super: true},
		{name: "an owner's token for viewers", user: of.bounded(t, object{"role": forViewers}), role: forViewers, bounded: true},
		{name: "an owner's token for deployers", user: of.bounded(t, object{"role": forDeployers}), role: forDeployers, bounded: true},
		{name: "an owner's token for another app", user: of.bounded(t, object{"apps": []string{elsewhere}}), bounded: true},
		{name: "a superuser's token for operators", user: p.admin.bounded(t, object{"role": forOperators}), role: forOperators, bounded: true},
	}
	shared := map[string]*user{}
	for _, role := range []string{forViewers, forDeployers, forOperators, forAdmins} {
		shared[role] = p.user(t)
		all = append(all, person{name: "a person with the role " + role, user: shared[role], role: role})
	}
	return all, of, func(app string) {
		for role, u := range shared {
			p.as(t, of).post("/v2/apps/"+app+"/perms/", object{"username": u.name, "role": role}).status(201)
		}
	}
}

// bounded is u with a token of that scope.
func (u *user) bounded(t *testing.T, scope object) *user {
	t.Helper()
	scope["name"] = unique("t-")
	token := u.p.as(t, u).post("/v2/tokens/", scope).status(201).field("token")
	return &user{p: u.p, name: u.name, password: u.password, token: token}
}

func TestEveryRowAnswersToThoseWhoMayAndToNobodyElse(t *testing.T) {
	t.Parallel()
	p := startPlatform(t, "SLIPWAY_REGISTRATION=admin_only")
	everyRouteHasAGrant(t, p)
	all, of, join := people(t, p)
	for _, grant := range grants {
		t.Run(strings.ReplaceAll(grant.row, "/", "|"), func(t *testing.T) {
			app := of.secretive(t, join)
			for _, who := range all {
				if !who.may(grant.may) {
					who.asks(t, p, of, app, grant.row, grant.body).refused(who)
				}
			}
			for _, who := range all {
				if who.may(grant.may) {
					who.asks(t, p, of, of.secretive(t, join), grant.row, grant.body).allowed(who)
				}
			}
		})
	}
}

// everyRouteHasAGrant fails for a route that was added without a thought of
// who may ask it. The API's own document names all.
func everyRouteHasAGrant(t *testing.T, p *platform) {
	t.Helper()
	var doc struct{ Paths map[string]map[string]any }
	p.as(t, nil).get("/v2/openapi.json").status(200).decode(&doc)
	granted := map[string]bool{}
	for _, grant := range grants {
		granted[shape(grant.row)] = true
	}
	routes := 0
	for path, methods := range doc.Paths {
		for method := range methods {
			if !slices.Contains([]string{"get", "post", "put", "delete"}, method) {
				continue
			}
			routes++
			if row := strings.ToUpper(method) + " " + path; !granted[shape(row)] {
				t.Errorf("nothing says who may ask %s", row)
			}
		}
	}
	if routes < 70 {
		t.Errorf("the document has %d routes alone", routes)
	}
}

// shape is a row whose parameters all look the same.
func shape(row string) string {
	row, _, _ = strings.Cut(row, "?")
	row = strings.NewReplacer("<app>", "{}", "<user>", "{}", "/releases/v2/", "/releases/{}/").Replace(row)
	parts := strings.Split(row, "/")
	for i, part := range parts {
		if strings.HasPrefix(part, "{") {
			parts[i] = "{}"
		}
	}
	return strings.TrimSuffix(strings.Join(parts, "/"), "/")
}

// secretive is a new app with a config, shared.
func (u *user) secretive(t *testing.T, join func(app string)) string {
	t.Helper()
	id := u.app(t)
	u.p.as(t, u).post("/v2/apps/"+id+"/config/", object{
		"values":   object{"PORT": "5000", "SECRET": configSecret},
		"registry": object{"username": "u", "password": configSecret},
	}).status(201)
	join(id)
	return id
}

// asks puts the row's request. What comes after the method is taken to the
// letter but for the names in <> and {}.
func (who person) asks(t *testing.T, p *platform, of *user, app, row, body string) *answer {
	t.Helper()
	other := &user{name: "nobody"}
	if strings.Contains(row+body, "<user>") {
		other = p.user(t)
	}
	fill := strings.NewReplacer("<app>", app, "<user>", other.name, "<password>", other.password, "<owner>", of.name, "<new>", unique("new-"),
		"{type}", "web", "{name}", "none", "{id}", "none", "{listen}", "30001", "{uuid}", "2b2e3b2a-0000-4000-8000-000000000000",
		"{domain}", "none", "{username}", other.name, "{fingerprint}", "00:11")
	method, path, _ := strings.Cut(fill.Replace(row), " ")
	var sent any
	if body = fill.Replace(body); strings.HasPrefix(body, "?") {
		path += body
	} else if body != "" {
		sent = body
	}
	a := p.as(t, who.user).ask(method, path, sent)
	if strings.Contains(string(a.body), configSecret) && !who.may(forOperators) {
		a.fail("%s sees the config", who.name)
	}
	return a
}

func (a *answer) refused(who person) {
	a.t.Helper()
	want := 403
	if who.user == nil {
		want = 401
	}
	// Registering is the one row that names the reason to strangers, too.
	if strings.Contains(a.asked, "/auth/register/") {
		want = 403
	}
	if a.code != want {
		a.fail("%s may not: want %d", who.name, want)
	}
}

func (a *answer) allowed(who person) {
	a.t.Helper()
	if a.code == 401 || a.code == 403 {
		a.fail("%s may", who.name)
	}
}

// What nobody may ask with a token the builder may with its key, for whom it
// names alone.
func TestTheBuilderSpeaksOnlyForThoseWhoMayPush(t *testing.T) {
	t.Parallel()
	p := startPlatform(t, "SLIPWAY_REGISTRATION=admin_only")
	all, of, join := people(t, p)
	app := of.secretive(t, join)
	for _, who := range all {
		if who.user == nil || who.bounded {
			continue
		}
		for _, hook := range []string{"/v2/hooks/config/", "/v2/hooks/build/"} {
			body := object{"receive_user": who.user.name, "receive_repo": app, "image": "some/image"}
			if a := p.builder(t).post(hook, body); who.may(forDeployers) {
				a.allowed(who)
			} else {
				a.status(403)
			}
		}
	}
}

// An app that serves has more to say than one without a build: its log, its
// releases and its failures are for viewers, and hold no config.
func TestConfigIsInNothingThatViewersAndDeployersSee(t *testing.T) {
	t.Parallel()
	p := startPlatform(t, "SLIPWAY_REGISTRATION=admin_only")
	all, of, join := people(t, p)
	app := of.secretive(t, join)
	of.push(t, app, "web: python3 -u server.py\nworker: sleep 1000\n")
	p.as(t, of).post("/v2/apps/"+app+"/config/", object{"values": object{"TOKEN": configSecret + "-2"}}).status(201)
	p.as(t, of).post("/v2/apps/"+app+"/run", object{"command": "true"}).status(200)
	asked := 0
	for _, who := range all {
		if who.may(forOperators) || !who.may(forViewers) {
			continue
		}
		for _, grant := range grants {
			// The rows that change something are asked where they do no harm.
			harmless := strings.HasPrefix(grant.row, "GET ") || strings.Contains(grant.row, "restart") || strings.Contains(grant.row, "rollback")
			if !harmless || !strings.Contains(grant.row, "<app>") {
				continue
			}
			who.asks(t, p, of, app, grant.row, grant.body)
			asked++
		}
		a := p.as(t, who.user).get("/v2/apps/" + app + "/logs?log_lines=10000").status(200)
		if strings.Contains(string(a.body), configSecret) {
			a.fail("%s reads config in the log", who.name)
		}
	}
	if asked < 100 {
		t.Errorf("only %d requests were put", asked)
	}
	noFileHas(t, p, configSecret)
}

// noFileHas looks for a text in all that the platform keeps. An instance's own
// folder is its app's.
func noFileHas(t *testing.T, p *platform, text string) {
	t.Helper()
	seen := 0
	must(t, filepath.WalkDir(p.state, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil //nolint:nilerr // files come and go while the platform runs
		}
		content, err := os.ReadFile(path)
		if err == nil {
			seen++
		}
		if strings.Contains(string(content), text) {
			t.Errorf("%s has it", strings.TrimPrefix(path, p.state))
		}
		return nil
	}))
	if seen < 20 {
		t.Errorf("only %d files were read", seen)
	}
}
