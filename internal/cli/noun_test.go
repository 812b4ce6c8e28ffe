package cli_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/cli"
	"github.com/slipway-paas/slipway/internal/platform"
)

const configAnswer = `{"uuid":"c","app":"blog","owner":"bob","values":{"GREETING":"hello 'you'","DEBUG":"1","KEY":"a\nb"},"created":"2016-10-18T10:00:00Z"}`

func TestConfigIsSetPulledAndPushed(t *testing.T) {
	c := newContract(t, map[string]string{
		"GET /v2/apps/blog/config/":   configAnswer,
		"POST /v2/apps/blog/config/":  `201 ` + configAnswer,
		"GET /v2/apps/blog/releases/": `{"count":4,"results":[{"version":4,"state":"succeeded","receipt":{"from":3,"to":4,"requests":120,"failed":0,"took_ms":250}}]}`,
	})
	u := at(t, c)
	u.types("config", "-a", "blog").want(t, 0, "DEBUG=1\nGREETING='hello '\\''you'\\'''\nKEY='a\nb'\n", "")
	u.types("config", "get", "GREETING", "-a", "blog").want(t, 0, "hello 'you'\n", "")
	u.types("config", "set", "A=1", "B=x=y", "-a", "blog").want(t, 0, "", "Setting A, B on blog… done, v4: 0 of 120 requests failed, took 250 ms\n")
	u.types("config", "unset", "A", "-a", "blog").want(t, 0, "", "Unsetting A on blog… done, v4: 0 of 120 requests failed, took 250 ms\n")
	u.types("config", "pull", "-a", "blog").want(t, 0, "Wrote 3 variables to .env.\n", "")
	info, err := os.Stat(filepath.Join(u.dir, ".env"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("got %v, %v", info, err)
	}
	if got := u.types("config", "pull", "-a", "blog"); got.exit != 5 || !strings.HasSuffix(got.stderr, "Replace it with: --overwrite\n") {
		t.Fatalf("got %+v", got)
	}
	u.types("config", "push", "-a", "blog").want(t, 0, "", "Setting DEBUG, GREETING, KEY on blog… done, v4: 0 of 120 requests failed, took 250 ms\n")
	if diff := cmp.Diff([]string{
		`POST /v2/apps/blog/config/ {"values":{"A":"1","B":"x=y"}}`,
		`POST /v2/apps/blog/config/ {"values":{"A":null}}`,
		`POST /v2/apps/blog/config/ {"values":{"DEBUG":"1","GREETING":"hello 'you'","KEY":"a\nb"}}`,
	}, c.changes()); diff != "" {
		t.Fatal(diff)
	}
}

func TestAPrivateKeyInTheConfigIsEncoded(t *testing.T) {
	c := newContract(t, map[string]string{"POST /v2/apps/blog/config/": `201 {}`, "GET /v2/apps/blog/releases/": `{"count":0,"results":[]}`})
	at(t, c).types("config", "set", "SSH_KEY=-----BEGIN OPENSSH PRIVATE KEY-----\nx", "-a", "blog")
	if diff := cmp.Diff([]string{`POST /v2/apps/blog/config/ {"values":{"SSH_KEY":"LS0tLS1CRUdJTiBPUEVOU1NIIFBSSVZBVEUgS0VZLS0tLS0KeA=="}}`}, c.changes()); diff != "" {
		t.Fatal(diff)
	}
}

func TestWhatIsSoAlreadyIsDone(t *testing.T) {
	c := newContract(t, map[string]string{
		"POST /v2/apps/blog/config/":   `409 {"detail":"bob changed nothing - release stopped"}`,
		"GET /v2/apps/blog/config/":    `{"values":{"A":"1"}}`,
		"POST /v2/apps/blog/settings/": `409 {"detail":"bob changed nothing"}`,
		"GET /v2/apps/blog/settings/":  `{"app":"blog","maintenance":true,"routable":true}`,
	})
	u := at(t, c)
	u.types("config", "set", "A=1", "-a", "blog").want(t, 0, "", "Setting A on blog… nothing to change\n")
	u.types("maintenance", "on", "-a", "blog").want(t, 0, "Maintenance of blog is on.\n", "")
}

func TestSettingsAreSwitches(t *testing.T) {
	c := newContract(t, map[string]string{
		"GET /v2/apps/blog/settings/":  `{"app":"blog","routable":true}`,
		"POST /v2/apps/blog/settings/": `201 {"app":"blog","maintenance":true,"deploy_branch":"live"}`,
	})
	u := at(t, c)
	u.types("settings", "-a", "blog").want(t, 0, "Maintenance:  off\nRoutable:     on\nDeploys:      a push to main or master\n", "")
	u.types("branch", "-a", "blog").want(t, 0, "blog deploys a push to main or master.\n", "")
	u.types("branch", "live", "-a", "blog").want(t, 0, "blog deploys a push to live.\n", "")
	u.types("branch", "--default", "-a", "blog")
	u.types("maintenance", "off", "-a", "blog").want(t, 0, "Maintenance of blog is on.\n", "")
	u.types("settings", "set", "maintenance=on", "routable=off", "-a", "blog")
	if diff := cmp.Diff([]string{
		`POST /v2/apps/blog/settings/ {"deploy_branch":"live"}`,
		`POST /v2/apps/blog/settings/ {"deploy_branch":""}`,
		`POST /v2/apps/blog/settings/ {"maintenance":false}`,
		`POST /v2/apps/blog/settings/ {"maintenance":true,"routable":false}`,
	}, c.changes()); diff != "" {
		t.Fatal(diff)
	}
}

func TestARollbackTellsTheNewRelease(t *testing.T) {
	c := newContract(t, map[string]string{
		"POST /v2/apps/blog/releases/rollback/": `201 {"version":5}`,
		"GET /v2/apps/blog/releases/":           `{"count":6,"results":[{"version":6,"state":"pending"},{"version":5,"state":"succeeded"}]}`,
	})
	u := at(t, c)
	u.types("rollback", "-a", "blog").want(t, 0, "", "Rolling back blog one release… done, v5\n")
	got := u.types("releases:rollback", "v2", "-a", "blog", "--json")
	if !strings.Contains(got.stdout, `"version": 5`) || got.stderr != "Rolling back blog to v2… done, v5\n" {
		t.Errorf("got %+v", got)
	}
	if diff := cmp.Diff([]string{`POST /v2/apps/blog/releases/rollback/ {}`, `POST /v2/apps/blog/releases/rollback/ {"version":2}`}, c.changes()); diff != "" {
		t.Fatal(diff)
	}
	u.types("rollback", "two", "-a", "blog").want(t, 2, "", "Error: version: \"two\" is not a release: write v3\n")
}

func TestARestartNamesATypeOrAnInstance(t *testing.T) {
	const pod = `[{"name":"blog-web-0123456789-abcde","state":"up","release":"v3","type":"web","started":"2016-10-18T11:59:30Z"}]`
	c := newContract(t, map[string]string{
		"POST /v2/apps/blog/pods/restart/":                               `[]`,
		"POST /v2/apps/blog/pods/web/restart/":                           pod,
		"POST /v2/apps/blog/pods/any/blog-web-0123456789-fghij/restart/": pod,
	})
	u := at(t, c)
	u.types("restart", "-a", "blog").want(t, 0, "", "Restarting blog… nothing of it runs\n")
	const table = `
TYPE  INSTANCE                   STATE  RELEASE  STARTED
web   blog-web-0123456789-abcde  up     v3       2016-10-18T11:59:30Z
`
	u.types("ps", "restart", "web", "-a", "blog").want(t, 0, table, "Restarting web of blog… done\n")
	u.types("restart", "blog-web-0123456789-fghij", "-a", "blog").want(t, 0, table, "Restarting blog-web-0123456789-fghij of blog… done\n")
}

func TestInfoTellsAllOfAnApp(t *testing.T) {
	c := newContract(t, map[string]string{
		"GET /v2/apps/blog/":          `{"id":"blog","owner":"bob","structure":{"web":1},"created":"2016-10-18T10:00:00Z","urls":["http://blog.localhost:8080"]}`,
		"GET /v2/apps/blog/releases/": `{"count":3,"results":[{"version":3,"summary":"bob deployed 1234567","state":"succeeded","created":"2016-10-18T11:00:00Z","receipt":{"from":2,"to":3,"requests":10,"failed":1,"p99_before_ms":10,"p99_after_ms":12.5,"took_ms":30}}]}`,
		"GET /v2/apps/blog/pods/":     `{"count":1,"results":[{"name":"blog-web-0123456789-abcde","state":"up","release":"v3","type":"web","started":"2016-10-18T11:59:30Z","isolation":"none"}]}`,
		"GET /v2/apps/blog/settings/": `{"app":"blog","maintenance":true,"routable":true,"deploy_branch":"live"}`,
		"GET /v2/platform":            platformAnswer,
	})
	at(t, c).types("info", "-a", "blog").want(t, 0, `
App:          blog
URL:          http://blog.localhost:8080
Git:          ssh://git@localhost:2222/blog.git
Owner:        bob
Created:      2016-10-18T10:00:00Z
Processes:    web=1
Release:      v3 bob deployed 1234567, succeeded, 2016-10-18T11:00:00Z
Receipt:      1 of 10 requests failed, p99 +2.5 ms, took 30 ms
Deploys:      a push to live
Maintenance:  on

TYPE  INSTANCE                   STATE  RELEASE  STARTED               RESTARTS  NOTE
web   blog-web-0123456789-abcde  up     v3       2016-10-18T11:59:30Z            not isolated: see slipway doctor
`, "")
}

func TestDomainsAreListedWithTheirHosts(t *testing.T) {
	c := newContract(t, map[string]string{
		"GET /v2/platform":                       platformAnswer,
		"GET /v2/apps/blog/domains/":             `{"count":2,"results":[{"domain":"blog","owner":"bob","created":"2016-10-18T10:00:00Z"},{"domain":"www.foo.com","owner":"bob","created":"2016-10-18T10:00:00Z"}]}`,
		"POST /v2/apps/blog/domains/":            `201 {"domain":"www.foo.com","app":"blog"}`,
		"DELETE /v2/apps/blog/domains/*.foo.com": `204 `,
	})
	u := at(t, c)
	u.types("domains", "-a", "blog").want(t, 0, `
DOMAIN       HOST            ADDED                 BY
blog         blog.localhost  2016-10-18T10:00:00Z  bob
www.foo.com  www.foo.com     2016-10-18T10:00:00Z  bob
`, "")
	u.types("domains", "add", "www.foo.com", "-a", "blog").want(t, 0, "www.foo.com leads to blog.\n", "")
	u.types("domains", "remove", "*.foo.com", "-a", "blog").want(t, 0, "*.foo.com leads to blog no longer.\n", "")
}

const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZvb2Jhcg bob@laptop"

func TestAKeyIsFoundAndAPrivateOneStaysHere(t *testing.T) {
	c := newContract(t, map[string]string{
		"POST /v2/keys/":             `201 {"id":"bob@laptop"}`,
		"GET /v2/keys/":              `{"count":1,"results":[{"id":"bob@laptop","public":"` + publicKey + `","fingerprint":"54:6d","created":"2016-10-18T10:00:00Z"}]}`,
		"DELETE /v2/keys/bob@laptop": `204 `,
	})
	u := at(t, c)
	u.types("keys", "add").want(t, 3, "", "Error: there is no SSH key in ~/.ssh\nMake one with: ssh-keygen -t ed25519\n")
	ssh := filepath.Join(u.home, ".ssh")
	write := func(name, text string) string {
		path := filepath.Join(ssh, name)
		if err := os.MkdirAll(ssh, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	private := write("other", "-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n")
	if got := u.types("keys", "add", private); got.exit != 2 || !strings.Contains(got.stderr, "is a private key, which is not for sending") {
		t.Fatalf("got %+v", got)
	}
	write("a.pub", "not a key")
	file := write("id_ed25519.pub", publicKey+"\n")
	write("id_ed25519", "-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n")
	u.types("keys", "add").want(t, 0, "Added the key bob@laptop.\n", "Adding "+file+".\n")
	u.types("keys", "add", strings.TrimSuffix(file, ".pub"), "--name", "mine")
	u.stdin = "# agent\n" + strings.TrimSuffix(publicKey, " bob@laptop") + "\n"
	u.types("keys", "add", "-")
	if diff := cmp.Diff([]string{
		`POST /v2/keys/ {"id":"bob@laptop","public":"` + publicKey + `"}`,
		`POST /v2/keys/ {"id":"mine","public":"` + publicKey + `"}`,
		`POST /v2/keys/ {"id":"stdin","public":"` + strings.TrimSuffix(publicKey, " bob@laptop") + `"}`,
	}, c.changes()); diff != "" {
		t.Fatal(diff)
	}
	u.types("keys").want(t, 0, "KEY         ADDED                 TYPE         FINGERPRINT\nbob@laptop  2016-10-18T10:00:00Z  ssh-ed25519  54:6d\n", "")
	u.types("keys", "remove", "bob@laptop").want(t, 0, "Removed the key bob@laptop.\n", "")
}

func TestNamesAreCompleted(t *testing.T) {
	c := newContract(t, map[string]string{
		"GET /v2/apps/":               `{"count":2,"results":[{"id":"blog"},{"id":"shop"}]}`,
		"GET /v2/apps/blog/":          `{"id":"blog","structure":{"web":1}}`,
		"GET /v2/apps/blog/builds/":   `{"count":1,"results":[{"procfile":{"web":"x","worker":"y","release":"z"}}]}`,
		"GET /v2/apps/blog/config/":   configAnswer,
		"GET /v2/apps/blog/releases/": `{"count":1,"results":[{"version":3,"summary":"bob deployed 1234567"}]}`,
	})
	u := at(t, c)
	for line, want := range map[string]string{
		"apps info -a |":               "blog\nshop\n:4\n",
		"scale -a blog |":              "web=\nworker=\n:6\n",
		"config unset DEBUG -a blog |": "GREETING\nKEY\n:4\n",
		"rollback -a blog |":           "v3\tbob deployed 1234567\n:36\n",
		"lifecycle set |":              "post-start\npre-stop\n:4\n",
		"info -a nope -c |":            ":4\n",
		"cutover set |":                strings.Join(platform.StrategyKeys, "=\n") + "=\n:38\n",
		"scale -a nope |":              ":6\n",
	} {
		args := append([]string{"__complete"}, strings.Fields(line)...)
		args[len(args)-1] = ""
		if got := u.types(args...); got.stdout != want {
			t.Errorf("%s: got %q, want %q", line, got.stdout, want)
		}
	}
}

func TestEveryWordNamesOneCommand(t *testing.T) {
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		seen := make(map[string]string)
		for _, below := range cmd.Commands() {
			for _, word := range append([]string{below.Name()}, below.Aliases...) {
				if other, taken := seen[word]; taken {
					t.Errorf("%s %s is both %s and %s", cmd.CommandPath(), word, other, below.Name())
				}
				seen[word] = below.Name()
			}
			visit(below)
		}
	}
	visit(cli.New(newUser(t).options(nil, io.Discard, io.Discard)))
}
