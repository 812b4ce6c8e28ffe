package cli_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const platformAnswer = `{"version":"0.1.0","domain":"localhost","api_url":"URL","git_ssh":"ssh://git@localhost:2222",
	"git_http":"http://git.localhost:8080","edge_http_port":8080,"engine":"local","runtime":"process","isolation":"sandbox"}`

func loginContract(t *testing.T) *contract {
	t.Helper()
	return newContract(t, map[string]string{
		"POST /v2/auth/login/":    `{"token":"feedfacefeedfacefeedfacefeedfacefeedface"}`,
		"POST /v2/auth/register/": `201 {"username":"bob","is_superuser":true}`,
		"GET /v2/platform":        platformAnswer,
		"GET /v2/auth/whoami/":    `{"username":"bob"}`,
		"POST /v2/auth/passwd/":   `{"status":"password set"}`,
		"GET /v2/apps/blog/":      `{"id":"blog"}`,
		"POST /v2/apps/":          `201 {"id":"blog","owner":"bob"}`,
		"DELETE /v2/apps/blog/":   `204 `,
	})
}

func TestALoginIsRememberedForItsUserAlone(t *testing.T) {
	c, u := loginContract(t), newUser(t)
	u.stdin = "secret\n"
	u.types("login", c.URL, "-u", "bob", "--password-stdin").want(t, 0, "Logged in as bob at "+c.URL+".\n", "")
	file := filepath.Join(u.home, ".config", "slipway", "default.json")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("got %v, %v", info, err)
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(text), "secret") {
		t.Fatalf("%s, %v", text, err)
	}
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(entries) != 1 {
		t.Fatalf("left over: %v, %v", entries, err)
	}
	u.types("whoami").want(t, 0, "bob at "+c.URL+"\n", "")
	u.types("contexts").want(t, 0, "CONTEXT  USER  PLATFORM\ndefault  bob   "+c.URL+"  current\n", "")
	u.types("logout").want(t, 0, "Logged out.\n", "")
	if got := u.types("whoami"); got.exit != 4 {
		t.Fatalf("got %+v", got)
	}
	u.types("contexts").want(t, 0, "", "You are not logged in anywhere. Log in with: slipway login [URL]\n")
}

func TestSeveralPlatformsHaveNames(t *testing.T) {
	one, two, u := loginContract(t), loginContract(t), newUser(t)
	u.env = append(u.env, "XDG_CONFIG_HOME="+filepath.Join(u.home, "xdg"))
	u.stdin = "secret\n"
	u.types("login", one.URL, "-u", "bob", "--password-stdin")
	u.types("login", two.URL, "-u", "eve", "--password-stdin", "-c", "staging")
	u.types("whoami").want(t, 0, "bob at "+one.URL+"\n", "")
	u.types("whoami", "-c", "staging").want(t, 0, "bob at "+two.URL+"\n", "")
	var listed []map[string]any
	got := u.types("contexts", "--json")
	if err := json.Unmarshal([]byte(got.stdout), &listed); err != nil {
		t.Fatal(err)
	}
	if len(listed) != 2 || listed[1]["name"] != "staging" || strings.Contains(got.stdout, "feedface") {
		t.Fatalf("got %s", got.stdout)
	}
	u.env = append(u.env, "SLIPWAY_CONTEXT=staging")
	u.types("whoami").want(t, 0, "bob at "+two.URL+"\n", "")
}

func TestATokenGoesOnlyToThePlatformThatGaveIt(t *testing.T) {
	one, two, u := loginContract(t), loginContract(t), newUser(t)
	u.stdin = "secret\n"
	u.types("login", one.URL, "-u", "bob", "--password-stdin")
	u.env = append(u.env, "SLIPWAY_URL="+two.URL)
	if got := u.types("whoami"); got.exit != 4 || len(two.asked) > 0 {
		t.Fatalf("got %+v, asked %v", got, two.asked)
	}
}

func TestTheFirstUserIsMadeAndLoggedIn(t *testing.T) {
	c, u := loginContract(t), newUser(t)
	u.env = append(u.env, "SLIPWAY_URL="+c.URL)
	u.stdin = "secret\n"
	u.types("register", "-u", "bob", "--email", "bob@example.com", "--password-stdin").want(t, 0, "Logged in as bob at "+c.URL+".\n", "")
	if diff := cmp.Diff([]string{
		`POST /v2/auth/register/ {"username":"bob","password":"secret","email":"bob@example.com"}`,
		`POST /v2/auth/login/ {"username":"bob","password":"secret"}`,
	}, c.changes()); diff != "" {
		t.Fatal(diff)
	}
	u.types("register", "-u", "carol", "--login=false", "--password-stdin").want(t, 0, "Registered bob at "+c.URL+".\n", "")
}

func TestAPasswordIsChanged(t *testing.T) {
	c := loginContract(t)
	u := at(t, c)
	u.stdin = "old\nnew\n"
	u.types("passwd", "--password-stdin").want(t, 0, "Password changed.\n", "")
	if diff := cmp.Diff([]string{`POST /v2/auth/passwd/ {"password":"old","new_password":"new"}`}, c.changes()); diff != "" {
		t.Fatal(diff)
	}
}

func TestAServerThatIsNoPlatformGetsNoPassword(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path)
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	u := newUser(t)
	u.stdin = "secret\n"
	u.types("login", server.URL, "-u", "bob", "--password-stdin").want(t, 1, "",
		"Error: "+server.URL+" does not answer as a Slipway platform: it answers 404 Not Found without an API version\n"+
			"Its API is at the name slipway below its domain, such as: slipway login https://slipway.example.com\n")
	if diff := cmp.Diff([]string{"GET /v2/"}, asked); diff != "" {
		t.Fatal(diff)
	}
}

func TestThePlatformIsFoundBelowItsBareDomain(t *testing.T) {
	c, u := loginContract(t), newUser(t)
	edge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Host, "slipway.localhost:") {
			c.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	defer edge.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(edge.URL, "http://"), ":")
	u.stdin = "secret\n"
	u.types("login", "localhost:"+port, "-u", "bob", "--password-stdin").want(t, 0, "Logged in as bob at http://slipway.localhost:"+port+".\n", "")
}

func TestWithoutATerminalAQuestionIsAUsageError(t *testing.T) {
	c, u := loginContract(t), newUser(t)
	if got := u.types("login", c.URL); got.exit != 2 || !strings.Contains(got.stderr, "no terminal to ask on: Username\nSay it with: --username NAME\n") {
		t.Fatalf("got %+v", got)
	}
	if got := u.types("login", c.URL, "-u", "bob"); got.exit != 2 || !strings.Contains(got.stderr, "--password-stdin") {
		t.Fatalf("got %+v", got)
	}
}

func TestAnAppIsFoundFromTheGitRemote(t *testing.T) {
	c := loginContract(t)
	u := at(t, c)
	u.git("init", "-q")
	u.types("create", "blog").want(t, 0, "Created blog.\n", "Deploy with: git push slipway HEAD:main\n")
	if got := u.git("remote", "-v"); !strings.Contains(got, "slipway\tssh://git@localhost:2222/blog.git (push)") {
		t.Fatalf("got %s", got)
	}
	if got := u.types("open"); got.exit != 3 || !strings.Contains(got.stderr, "app blog has no domain") {
		t.Fatalf("got %+v", got)
	}
	u.types("git", "remote").want(t, 0, "The git remote slipway leads already to ssh://git@localhost:2222/blog.git.\n", "")
	u.types("destroy", "--confirm", "blog").want(t, 0, "", "Destroying blog… done\nRemoved the git remote slipway.\n")
	u.types("open").want(t, 2, "", `
Error: which app? There is no git remote here that leads to one
Name it with: -a APP; list yours with: slipway apps; or run this in the app's work tree.
`)
}

func TestARemoteOfAnotherPlatformNamesNoApp(t *testing.T) {
	c := loginContract(t)
	for address, app := range map[string]string{
		"ssh://git@localhost:2222/blog.git":              "blog",
		"ssh://git@127.0.0.1:2222/blog.git":              "blog",
		"ssh://git@anything.localhost:2222/blog":         "blog",
		"http://git.localhost:8080/blog.git":             "blog",
		"ssh://git@localhost/blog.git":                   "",
		"ssh://git@example.com:2222/blog.git":            "",
		"git@github.com:bob/blog.git":                    "",
		"git@localhost:blog.git":                         "",
		"http://git.localhost/blog.git":                  "",
		"http://git.localhost.example.com:8080/blog.git": "",
		"/srv/git/blog.git":                              "",
		"ssh://git@localhost:2222/bob/blog.git":          "",
	} {
		u := at(t, c)
		u.git("init", "-q")
		u.git("remote", "add", "origin", address)
		got := u.types("open")
		if found := strings.Contains(got.stderr, "app blog has no domain"); found != (app != "") {
			t.Errorf("%s: got %+v", address, got)
		}
		if app == "" && got.exit != 2 {
			t.Errorf("%s: got %+v", address, got)
		}
	}
}

func TestAnAppIsNamedByFlagThenByEnvironment(t *testing.T) {
	c := newContract(t, map[string]string{
		"GET /v2/apps/one/": `{"id":"one","urls":["http://one.localhost:8080"]}`,
		"GET /v2/apps/two/": `{"id":"two","urls":["http://two.localhost:8080"]}`,
	})
	u := at(t, c)
	u.env = append(u.env, "SLIPWAY_APP=one")
	u.types("open").want(t, 0, "http://one.localhost:8080\n", "")
	u.types("open", "-a", "two").want(t, 0, "http://two.localhost:8080\n", "")
}

func TestARemoteThatLeadsElsewhereIsKept(t *testing.T) {
	u := at(t, loginContract(t))
	u.git("init", "-q")
	u.git("remote", "add", "slipway", "git@github.com:bob/blog.git")
	u.types("create", "blog").want(t, 0, "Created blog.\n", `
No git remote added: the git remote slipway leads to git@github.com:bob/blog.git already
Add one with: slipway git remote add -a blog --name NAME
`)
	u.types("git", "remote", "-a", "blog").want(t, 5, "", `
Error: the git remote slipway leads to git@github.com:bob/blog.git already
Replace it with: slipway git remote add --force; or add another with: slipway git remote add --name NAME
`)
	u.types("git", "remote", "-a", "blog", "--http", "--force").want(t, 0, "The git remote slipway leads to http://git.localhost:8080/blog.git.\n", "")
	if got := u.git("config", "credential.http://git.localhost:8080.helper"); !strings.HasSuffix(got, " git credential") || got[0] != '!' {
		t.Fatalf("got %s", got)
	}
}

func TestGitIsToldTheLoginForThePlatformAlone(t *testing.T) {
	c, u := loginContract(t), newUser(t)
	u.stdin = "secret\n"
	u.types("login", c.URL, "-u", "bob", "--password-stdin")
	u.stdin = "protocol=http\nhost=git.localhost:8080\n\n"
	u.types("git", "credential", "get").want(t, 0, "username=bob\npassword=feedfacefeedfacefeedfacefeedfacefeedface\n", "")
	u.stdin = "protocol=http\nhost=evil.example\n\n"
	u.types("git", "credential", "get").want(t, 0, "", "")
	u.types("git", "credential", "store").want(t, 0, "", "")
}

func TestDestroyWantsTheNameTwice(t *testing.T) {
	c := loginContract(t)
	u := at(t, c)
	u.types("destroy", "-a", "blog").want(t, 2, "", `
Error: to destroy blog say so: --confirm blog
Usage and examples: slipway destroy --help
`)
	u.types("destroy", "-a", "blog", "--confirm", "glob").want(t, 2, "", `
Error: nothing destroyed: "glob" is not blog
Usage and examples: slipway destroy --help
`)
	if len(c.changes()) > 0 {
		t.Fatalf("asked %v", c.changes())
	}
}
