package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Deis' clients go by these forms and words: sections 1.10 and 2.7 of the
// contract. What they understand, this command line understands, and says.

// TestEveryRefusalThatClientsKnowIsSaid: the words that Deis' SDK looks for
// reach the user here as well, whatever field they came under.
func TestEveryRefusalThatClientsKnowIsSaid(t *testing.T) {
	for _, c := range []struct{ line, row, status, body, want string }{
		{"register -u b --password-stdin", "POST /v2/auth/register/", "400", `{"username":["A user with that username already exists."]}`, "username: A user with that username already exists."},
		{"login -u bob --password-stdin", "POST /v2/auth/login/", "400", `{"non_field_errors":["Unable to log in with provided credentials."]}`, "Unable to log in with provided credentials."},
		{"create blog", "POST /v2/apps/", "400", `{"id":["Application with this id already exists."]}`, "id: Application with this id already exists."},
		{"keys add id.pub", "POST /v2/keys/", "400", `{"public":["Public Key is already in use"]}`, "public: Public Key is already in use"},
		{"certs add shop shop.crt shop.key", "POST /v2/certs/", "400", `{"certificate":["Could not load certificate: no PEM"]}`, "certificate: Could not load certificate: no PEM"},
		{"certs add Shop! shop.crt shop.key", "POST /v2/certs/", "400", `{"name":["Can only contain a-z (lowercase), 0-9 and hyphens"]}`, "name: Can only contain a-z (lowercase), 0-9 and hyphens"},
		{"domains add x_y", "POST /v2/apps/blog/domains/", "400", `{"domain":["Hostname does not look valid."]}`, "domain: Hostname does not look valid."},
		{"domains add www.foo.com", "POST /v2/apps/blog/domains/", "400", `{"domain":["Domain is already in use by another application"]}`, "domain: Domain is already in use by another application"},
		{"restart ghost", "POST /v2/apps/blog/pods/ghost/restart/", "404", `{"detail":"Container type ghost does not exist in application"}`, "Container type ghost does not exist in application"},
		{"rollback", "POST /v2/apps/blog/releases/rollback/", "400", `{"detail":"version cannot be below 0"}`, "version cannot be below 0"},
		{"tags set a=b", "POST /v2/apps/blog/config/", "400", `{"detail":"No nodes matched the provided labels: a=b"}`, "No nodes matched the provided labels: a=b"},
		{"config unset A", "POST /v2/apps/blog/config/", "422", `{"detail":"A does not exist under values"}`, "A does not exist under values"},
		{"auth cancel --yes", "DELETE /v2/auth/cancel/", "409", `{"detail":"bob still has applications assigned. Delete or transfer ownership"}`, "bob still has applications assigned. Delete or transfer ownership"},
		{"builds create x:1", "POST /v2/apps/blog/builds/", "400", `{"detail":"image x:1 not found"}`, "image x:1 not found"},
		{"whitelist add x", "POST /v2/apps/blog/whitelist/", "400", `{"addresses":["The address x is not valid"]}`, "addresses: The address x is not valid"},
	} {
		p := whole(t)
		p.answers[c.row] = c.status + " " + c.body
		got := worker(t, p).types(strings.Fields(c.line)...)
		if !slices.Contains(strings.Split(got.stderr, "\n"), "Error: "+c.want) || got.exit == 0 || got.exit == 2 {
			t.Errorf("%s: exit %d, %q", c.line, got.exit, got.stderr)
		}
	}
}

// podName is how Deis' command line knows the full name of an instance.
var podName = regexp.MustCompile(`[0-9]{8,10}-[a-z0-9]{5}$`)

func TestAnInstanceIsKnownAsDeisClientsKnowIt(t *testing.T) {
	for word, route := range map[string]string{
		"blog-web-1499930585-14lrg":      "any/blog-web-1499930585-14lrg/",
		"web-1499930585-14lrg":           "any/blog-web-1499930585-14lrg/", // short: the app's name left out
		"blog-web-worker-14999305-14lrg": "any/blog-web-worker-14999305-14lrg/",
		"blog-web-7d9f8b6c4d-14lrg":      "any/blog-web-7d9f8b6c4d-14lrg/", // of Hephy's form
		"web":                            "web/",
		"web-worker":                     "web-worker/",
		"web-2024":                       "web-2024/",
	} {
		p := whole(t)
		p.answers["POST /v2/apps/blog/pods/"+route+"restart/"] = "[]"
		if got := worker(t, p).types("ps:restart", word); got.exit != 0 {
			t.Errorf("%s: %+v, asked %v", word, got, p.asked)
		}
		if podName.MatchString(word) != strings.Contains(route, "any/") && !strings.Contains(word, "7d9f8b6c4d") {
			t.Errorf("%s: Deis' clients know it otherwise", word)
		}
	}
}

// TestWhatDeisClientsAcceptIsAccepted: arguments of the forms that Deis'
// command line checked for before it asked.
func TestWhatDeisClientsAcceptIsAccepted(t *testing.T) {
	forms := map[string]*regexp.Regexp{
		"config:set":       regexp.MustCompile(`^([A-z_]+[A-z0-9_]*)=([\s\S]*)$`),
		"ps:scale":         regexp.MustCompile(`^([a-z0-9]+(?:-[a-z0-9]+)*)=([0-9]+)$`),
		"limits:set":       regexp.MustCompile(`^[a-z0-9-]+=[0-9]+[bkmgBKMG]{1,2}(/[0-9]+[bkmgBKMG]{1,2})?$`),
		"limits:set --cpu": regexp.MustCompile(`^[a-z0-9-]+=[0-9.]{1,5}m?(/[0-9.]{1,5}m?)?$`),
		"limits:set -c":    regexp.MustCompile(`^[a-z0-9-]+=[0-9.]{1,5}m?$`),
		"timeouts:set":     regexp.MustCompile(`^[a-z0-9-]+=[0-9]+$`),
	}
	for command, words := range map[string][]string{
		"config:set":       {"A=", "a_b=x=y", "_X1=a\nb", "FOO=null", "U=☃ 'q' \"d\""},
		"ps:scale":         {"web=0", "web-worker=12", "cmd=1"},
		"limits:set":       {"web=200M", "web=1G", "web=512mb", "web=50M/100MB", "a-b=10b"},
		"limits:set --cpu": {"web=1", "web=0.5", "web=500m", "web=100m/500m"},
		"limits:set -c":    {"web=1", "web=250m"},
		"timeouts:set":     {"web=30", "web-worker=0"},
	} {
		for _, word := range words {
			if !forms[command].MatchString(word) {
				t.Fatalf("%s %q: Deis' command line does not take it", command, word)
			}
			if got := worker(t, whole(t)).types(append(strings.Fields(command), word)...); got.exit != 0 {
				t.Errorf("%s %q: %+v", command, word, got)
			}
		}
	}
}

// TestEveryCommandOfDeisWorks: the colon forms and shortcuts, with their flags.
func TestEveryCommandOfDeisWorks(t *testing.T) {
	for line := range strings.SplitSeq(strings.TrimSpace(`
apps:create blog --no-remote --buildpack=https://example.com/pack.git
apps:list --limit=1
apps:info -a blog
apps:open -a blog
apps:logs -a blog -n 5
apps:run -a blog ls
apps:transfer carol -a blog
apps:destroy -a blog --confirm=blog
auth:register http://URL --username=bob --password=hunter2 --email=b@x --login=false --ssl-verify=false
auth:login http://URL --username=bob --password=hunter2
auth:whoami --all
auth:passwd --password=hunter2 --new-password=hunter3
auth:regenerate -u carol
auth:cancel --yes
auth:logout
autoscale:list
autoscale:set web --min=1 --max=4 --cpu-percent=60
autoscale:unset web
builds:list -l 1
builds:create shop:1 -p web:x
certs:list
certs:add shop shop.crt shop.key
certs:info shop
certs:attach shop www.foo.com
certs:detach shop www.foo.com
certs:remove shop
config:list --oneline
config:set A=1 B=2
config:unset A
config:pull -o
config:push -p .env
domains:add www.foo.com
domains:list
domains:remove www.foo.com
healthchecks:list
healthchecks:set liveness httpGet 80 --path=/ --type=web --headers=X:1
healthchecks:set readiness exec -- /bin/true
healthchecks:unset liveness --type=web
keys:list
keys:add id.pub
keys:remove bob@laptop
labels:list
labels:set a=b
labels:unset team
limits:list
limits:set -m web=1G
limits:unset -c web
maintenance:info
maintenance:on
maintenance:off
perms:list --admin
perms:create carol
perms:create carol --admin
perms:delete carol
ps:list
ps:scale web=1
ps:restart web
registry:list
registry:set username=bob
registry:unset password
releases:list
releases:info v3
releases:rollback v3
routing:info
routing:enable
routing:disable
services:list
services:add api /api
services:remove api
sharing
tags:list
tags:set a=b
tags:unset disk
timeouts:list
timeouts:set web=30
timeouts:unset web
tls:info
tls:enable
tls:disable
users:list
whitelist:add 1.2.3.4,5.6.7.8
whitelist:list
whitelist:remove 10.0.0.0/8
create blog
pull shop:1
run -a blog -- ls -l
scale web=1
logs
open
info
rollback
whoami
passwd --password=hunter2 --new-password=hunter3
version
--json apps:list
-a blog config:list`), "\n") {
		p := whole(t)
		u := worker(t, p)
		if err := os.WriteFile(filepath.Join(u.dir, ".env"), []byte("A=1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := u.types(strings.Fields(strings.ReplaceAll(line, "http://URL", p.URL))...); got.exit != 0 {
			t.Errorf("%s: exit %d\n%s", line, got.exit, got.stderr)
		}
	}
	for _, line := range []string{"apps:bogus", "bogus:list", "ps:"} {
		if got := worker(t, whole(t)).types(line); got.exit != 2 {
			t.Errorf("%s: %s", line, fmt.Sprint(got))
		}
	}
}
