package cli_test

import (
	"strings"
	"testing"
)

func TestOneOfSeveralPlatformsIsInUse(t *testing.T) {
	one, two, u := loginContract(t), loginContract(t), newUser(t)
	u.stdin = "secret\n"
	u.types("login", one.URL, "-u", "bob", "--password-stdin")
	host := strings.ReplaceAll(strings.TrimPrefix(two.URL, "http://"), ":", "-")
	u.types("login", two.URL, "-u", "bob", "--password-stdin").want(t, 0, "Logged in as bob at "+two.URL+".\n",
		"The login is called "+host+"; choose among yours with: slipway contexts use NAME\n")
	u.types("contexts", "current").want(t, 0, host+"\n", "")
	u.types("whoami").want(t, 0, "bob at "+two.URL+"\n", "")
	u.types("whoami", "-c", "default").want(t, 0, "bob at "+one.URL+"\n", "")
	u.types("contexts", "use", "default").want(t, 0, "From now on it is bob at "+one.URL+".\n", "")
	u.types("whoami").want(t, 0, "bob at "+one.URL+"\n", "")
	// Logging in again at a platform that has a name makes no second one.
	u.types("login", two.URL, "-u", "bob", "--password-stdin")
	u.types("contexts").want(t, 0, "CONTEXT"+strings.Repeat(" ", len(host)-5)+"USER  PLATFORM\n"+
		host+"  bob   "+two.URL+"  current\n"+
		"default"+strings.Repeat(" ", len(host)-5)+"bob   "+one.URL+"\n", "")
	// What is in use and goes leaves the default.
	u.types("contexts", "remove", host).want(t, 0, "Forgot the login "+host+".\n", "")
	u.types("contexts", "current").want(t, 0, "default\n", "")
	u.types("contexts", "use", "nowhere").want(t, 4, "", `
Error: you are not logged in to nowhere
Log in with: slipway login -c nowhere URL; see those there are with: slipway contexts
`)
	u.types("contexts", "remove", "nowhere").want(t, 3, "", "Error: there is no login nowhere\nList yours with: slipway contexts\n")
}

func TestARegeneratedTokenIsKeptWhereTheOldOneWas(t *testing.T) {
	c, u := whole(t), newUser(t)
	u.stdin = "secret\n"
	u.types("login", c.URL, "-u", "bob", "--password-stdin")
	c.answers["POST /v2/auth/tokens/"] = `{"token":"00000000feedface"}`
	u.types("auth", "regenerate").want(t, 0, "Replaced the token of your login, which holds on this machine.\n", "")
	u.stdin = "protocol=http\nhost=git.localhost:8080\n\n"
	u.types("git", "credential", "get").want(t, 0, "username=bob\npassword=00000000feedface\n", "")
}

func TestARenamedAppsRemotesFollow(t *testing.T) {
	c := whole(t)
	u := at(t, c)
	u.git("init", "-q")
	u.git("remote", "add", "slipway", "ssh://git@localhost:2222/blog.git")
	u.git("remote", "add", "origin", "ssh://git@example.com/blog.git")
	u.types("apps", "rename", "shop").want(t, 0, "", `
Renaming blog to shop… done
The git remote slipway leads to ssh://git@localhost:2222/shop.git.
`)
	if got := u.git("remote", "get-url", "origin"); got != "ssh://git@example.com/blog.git" {
		t.Errorf("origin leads to %s", got)
	}
	u.types("git", "remote", "remove", "-a", "shop").want(t, 0, "Removed slipway.\n", "")
	u.types("git:remove", "-a", "shop").want(t, 0, "", "No git remote here leads to shop.\n")
}

func TestDestructionIsConfirmed(t *testing.T) {
	c := whole(t)
	u := worker(t, c)
	for line, want := range map[string]string{
		"destroy":               "to destroy blog say so: --confirm blog",
		"auth cancel":           "bob is forgotten, with keys and tokens; say so: --confirm bob",
		"auth regenerate --all": "everybody's login ends, yours included; say so: --yes",
	} {
		if got := u.types(strings.Fields(line)...); got.exit != 2 || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: got %+v", line, got)
		}
	}
	if len(c.changes()) > 0 {
		t.Errorf("asked %v", c.changes())
	}
	screen := at(t, c).atConsole(24, 80)
	screen.starts("auth", "cancel")
	screen.reads("Type bob to go on: ")
	screen.presses("alice\n")
	if exit := <-screen.exit; exit != 2 || len(c.changes()) > 0 {
		t.Errorf("exit %d, asked %v", exit, c.changes())
	}
}

func TestAListThatIsCutSaysSo(t *testing.T) {
	c := whole(t)
	c.answers["GET /v2/apps/"] = strings.Replace(c.answers["GET /v2/apps/"], `"count":1`, `"count":6`, 1)
	got := at(t, c).types("apps", "-l", "1")
	if got.stderr != "(1 of 6)\n" || strings.Count(got.stdout, "\n") != 2 {
		t.Errorf("got %+v", got)
	}
	if got := at(t, c).types("apps", "-l", "1", "--json"); got.stderr != "" {
		t.Errorf("got %+v", got)
	}
}

func TestLogsSinceLeaveOlderLinesOut(t *testing.T) {
	c := newContract(t, map[string]string{"GET /v2/apps/blog/logs": "2016-10-18T11:49:59+00:00 blog[web.v2.x3ten]: old\n2016-10-18T13:50:01+02:00 blog[web.v2.x3ten]: new\n"})
	u := at(t, c)
	u.types("logs", "-a", "blog", "--since", "10m").want(t, 0, "2016-10-18T13:50:01+02:00 blog[web.v2.x3ten]: new\n", "")
	if got := u.types("logs", "-a", "blog", "--since", "soon"); got.exit != 2 {
		t.Errorf("got %+v", got)
	}
}
