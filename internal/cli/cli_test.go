package cli_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/cli"
	"github.com/slipway-paas/slipway/internal/platform"
)

// contract is a platform of recorded answers, by "METHOD /path"; a status may
// stand before the body. It notes what it was asked.
type contract struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string]string
	asked   []string
	// attached runs what comes through a WebSocket.
	attached func(context.Context, string, platform.IO) (int, error)
}

func (c *contract) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = nil
}

func newContract(t *testing.T, answers map[string]string) *contract {
	t.Helper()
	c := &contract{answers: answers}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *contract) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	c.asked = append(c.asked, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+string(body)))
	answer, ok := c.answers[r.Method+" "+r.URL.Path]
	c.mu.Unlock()
	if r.Header.Get("Upgrade") != "" && c.attached != nil {
		c.upgrade(w, r)
		return
	}
	status := http.StatusOK
	if !ok {
		status, answer = http.StatusNotFound, `"No App matches the given query."`
		if r.URL.Path == "/v2/" {
			status, answer = http.StatusUnauthorized, `{"detail":"Authentication credentials were not provided."}`
		}
	}
	for code, prefix := range map[int]string{201: "201 ", 204: "204 ", 400: "400 ", 401: "401 ", 403: "403 ", 404: "404 ", 409: "409 ", 422: "422 ", 500: "500 ", 503: "503 "} {
		if rest, cut := strings.CutPrefix(answer, prefix); cut {
			status, answer = code, rest
		}
	}
	w.Header()[api.HeaderAPIVersion] = []string{api.APIVersion}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, strings.ReplaceAll(answer, "URL", c.URL))
}

// changes are the requests that were no GET.
func (c *contract) changes() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.asked), func(asked string) bool { return strings.HasPrefix(asked, "GET ") })
}

// user is somebody at a shell, with a home and a working directory of their own.
type user struct {
	t     *testing.T
	home  string
	dir   string
	env   []string
	stdin string
}

func newUser(t *testing.T) *user {
	t.Helper()
	u := &user{t: t, home: t.TempDir(), dir: t.TempDir()}
	u.env = []string{"HOME=" + u.home, "PATH=" + os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1", "GIT_CEILING_DIRECTORIES=" + filepath.Dir(u.dir)}
	return u
}

// at is a user who is logged in to the platform, through the environment.
func at(t *testing.T, c *contract) *user {
	t.Helper()
	u := newUser(t)
	u.env = append(u.env, "SLIPWAY_URL="+c.URL, "SLIPWAY_TOKEN=0123456789abcdef")
	return u
}

// result is what a command printed and how it ended.
type result struct {
	exit           int
	stdout, stderr string
}

var noon = time.Date(2016, 10, 18, 12, 0, 0, 0, time.UTC)

func (u *user) options(stdin io.Reader, stdout, stderr io.Writer) cli.Options {
	return cli.Options{
		Version: "1.2.3", Stdin: stdin, Stdout: stdout, Stderr: stderr, Env: u.env, Dir: u.dir,
		Now: func() time.Time { return noon },
	}
}

func (u *user) types(args ...string) result {
	u.t.Helper()
	var stdout, stderr bytes.Buffer
	o := u.options(strings.NewReader(u.stdin), &stdout, &stderr)
	exit := execute(u.t.Context(), o, args)
	return result{exit, stdout.String(), stderr.String()}
}

func execute(ctx context.Context, o cli.Options, args []string) int {
	root := cli.New(o)
	root.SetArgs(args)
	return cli.Execute(ctx, root)
}

func (u *user) git(args ...string) string {
	u.t.Helper()
	cmd := exec.CommandContext(u.t.Context(), "git", args...)
	cmd.Dir, cmd.Env = u.dir, u.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		u.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r result) want(t *testing.T, exit int, stdout, stderr string) {
	t.Helper()
	if diff := cmp.Diff(result{exit, strings.TrimPrefix(stdout, "\n"), strings.TrimPrefix(stderr, "\n")}, r, cmp.AllowUnexported(result{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestTablesAreAlignedTextInAPipe(t *testing.T) {
	c := newContract(t, map[string]string{
		"GET /v2/apps/": `{"count":2,"next":null,"previous":null,"results":[
			{"id":"blog","owner":"bob","structure":{"worker":1,"web":2},"created":"2016-10-18T11:57:00Z"},
			{"id":"a-longer-name","owner":"carol","structure":{},"created":"2016-10-17T12:00:00Z"}]}`,
		"GET /v2/apps/blog/pods/": `{"count":2,"results":[
			{"name":"blog-web-0123456789-abcde","state":"up","release":"v3","type":"web","started":"2016-10-18T11:59:30Z","isolation":"sandbox"},
			{"name":"blog-worker-0123456789-fghij","state":"crashed","release":"v3","type":"worker","started":"2016-10-18T11:59:50Z",
			 "restarts":7,"crash_loop":true,"message":"exited with code 1","isolation":"sandbox"}]}`,
		"GET /v2/apps/blog/releases/": `{"count":2,"next":null,"previous":null,"results":[
			{"version":2,"owner":"bob","summary":"bob deployed 1234567","state":"succeeded","created":"2016-10-18T11:00:00Z"},
			{"version":1,"owner":"bob","summary":"bob created initial release","state":"succeeded","created":"2016-10-18T10:00:00Z"}]}`,
	})
	u := at(t, c)
	u.types("apps").want(t, 0, `
APP            OWNER  CREATED               PROCESSES
blog           bob    2016-10-18T11:57:00Z  web=2 worker=1
a-longer-name  carol  2016-10-17T12:00:00Z
`, "")
	u.types("ps", "-a", "blog").want(t, 0, `
TYPE    INSTANCE                      STATE    RELEASE  STARTED               RESTARTS  NOTE
web     blog-web-0123456789-abcde     up       v3       2016-10-18T11:59:30Z
worker  blog-worker-0123456789-fghij  crashed  v3       2016-10-18T11:59:50Z  7         crashes again and again; exited with code 1
`, "")
	u.types("releases", "-a", "blog").want(t, 0, `
RELEASE  STATE      WHEN                  BY   WHAT
v2       succeeded  2016-10-18T11:00:00Z  bob  bob deployed 1234567
v1       succeeded  2016-10-18T10:00:00Z  bob  bob created initial release
`, "")
}

func TestJSONHasTheShapesOfTheAPI(t *testing.T) {
	c := newContract(t, map[string]string{
		"GET /v2/apps/":                  `{"count":0,"next":null,"previous":null,"results":[]}`,
		"GET /v2/apps/blog/releases/v1/": `{"uuid":"u","app":"blog","owner":"bob","created":"2016-10-18T10:00:00Z","updated":"2016-10-18T10:00:00Z","version":1,"summary":"a <b> & c","failed":false,"config":"c","build":null,"state":"succeeded","exception":""}`,
	})
	u := at(t, c)
	u.types("apps", "--json").want(t, 0, "[]\n", "")
	u.types("releases", "info", "v1", "-a", "blog", "--json").want(t, 0, `
{
  "uuid": "u",
  "app": "blog",
  "owner": "bob",
  "created": "2016-10-18T10:00:00Z",
  "updated": "2016-10-18T10:00:00Z",
  "version": 1,
  "summary": "a <b> & c",
  "failed": false,
  "config": "c",
  "build": null,
  "state": "succeeded",
  "exception": ""
}
`, "")
}

func TestAnErrorSaysTheNextStepAndEndsWithItsCode(t *testing.T) {
	c := newContract(t, map[string]string{
		"GET /v2/apps/full/":             `403 {"detail":"You do not have permission to perform this action."}`,
		"DELETE /v2/apps/full/":          `403 {"detail":"You do not have permission to perform this action."}`,
		"POST /v2/apps/":                 `400 {"id":["Application with this id already exists."]}`,
		"POST /v2/apps/blog/scale/":      `400 {"detail":"No build associated with this release"}`,
		"POST /v2/apps/busy/config/":     `409 {"detail":"Deployment for busy-web is already in progress"}`,
		"GET /v2/apps/blog/config/":      `{"values":{}}`,
		"GET /v2/apps/broken/config/":    `500 {"detail":"Server Error"}`,
		"DELETE /v2/apps/blog/domains/x": `404 "No Domain matches the given query."`,
		"POST /v2/certs/shop/domain/":    `404 "No Certificate matches the given query."`,
		"POST /v2/apps/blog/perms/":      `404 "No User matches the given query."`,
		"GET /v2/apps/blog/volumes/":     `{"volumes":[{"name":"data","mounts":{}},{"name":"dta","mounts":{},"removed":true}]}`,

		"POST /v2/apps/blog/releases/rollback/":  `400 {"detail":"Release matching query does not exist."}`,
		"POST /v2/apps/fresh/releases/rollback/": `400 {"detail":"Cannot roll back to initial release."}`,
	})
	u := at(t, c)
	u.types("info", "-a", "nope").want(t, 3, "", `
Error: there is no app nope
List yours with: slipway apps; make it with: slipway create
`)
	u.types("destroy", "-a", "full", "--confirm", "full").want(t, 4, "", `
Destroying full… failed
Error: You do not have permission to perform this action.
See who you are with: slipway whoami
`)
	u.types("create", "blog").want(t, 1, "", "Error: id: Application with this id already exists.\n")
	u.types("scale", "web=2", "-a", "blog").want(t, 1, "", `
Scaling blog to web=2… failed
Error: No build associated with this release
Deploy first with: git push slipway HEAD:main
`)
	u.types("config", "set", "A=1", "-a", "busy").want(t, 5, "", `
Setting A on busy… failed
Error: Deployment for busy-web is already in progress
Wait for the other change; follow it with: slipway logs -f
`)
	u.types("config", "get", "A", "-a", "blog").want(t, 3, "", `
Error: A of blog is not set
List what is set with: slipway config -a blog
`)
	u.types("domains", "remove", "x", "-a", "blog").want(t, 3, "", "Error: there is no domain x\nSee what there is with: slipway domains -a blog\n")
	u.types("certs", "attach", "shop", "x").want(t, 3, "", "Error: there is no certificate shop\nSee what there is with: slipway certs\n")
	u.types("perms", "add", "zoe", "-a", "blog").want(t, 3, "", "Error: there is no user of that name\n")
	u.types("rollback", "v99", "-a", "blog").want(t, 3, "", `
Rolling back blog to v99… failed
Error: there is no release v99
See what there is with: slipway releases -a blog
`)
	u.types("rollback", "-a", "fresh").want(t, 1, "", `
Rolling back fresh one release… failed
Error: Cannot roll back to initial release.
It runs nothing. See what there is with: slipway releases
`)
	u.types("volumes", "mount", "dta", "web=/data", "-a", "blog").want(t, 3, "", `
Error: there is no volume dta
See what there is with: slipway volumes -a blog; add it with: slipway volumes add dta TYPE=/PATH -a blog
`)
	u.types("config", "-a", "broken").want(t, 1, "", "Error: Server Error\n")
	u.types("info", "-a", "Not_An_App").want(t, 2, "", "Error: id: App name must start with an alphabetic character, cannot end with a hyphen and can only contain a-z (lowercase), 0-9 and hyphens.\n")
}

func TestAnAnswerThatCannotBeWrittenIsNotTakenForWhole(t *testing.T) {
	c := newContract(t, map[string]string{"GET /v2/apps/blog/config/": `{"values":{"A":"1"}}`, "GET /v2/apps/": `{"results":[{"id":"blog"}]}`, "GET /v2/apps/blog/logs": logAnswer})
	u := at(t, c)
	for _, line := range []string{"apps", "apps --json", "config -a blog", "logs -a blog", "version", "ps --help"} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		if code := execute(t.Context(), u.options(nil, full, &stderr), strings.Fields(line)); code != 1 || !strings.Contains(stderr.String(), "no space left on device") {
			t.Errorf("slipway %s on a full disk: %d %s", line, code, &stderr)
		}
		_ = full.Close()
	}
}

func TestAPlatformThatIsAwayEndsWithSix(t *testing.T) {
	c := newContract(t, nil)
	c.Close()
	got := at(t, c).types("apps")
	if got.exit != 6 || !strings.Contains(got.stderr, "does not answer: ") || !strings.HasSuffix(got.stderr, "\nStart a platform on this machine with: slipway serve\n") {
		t.Fatalf("got %+v", got)
	}
}

func TestWrongUsageEndsWithTwo(t *testing.T) {
	u := newUser(t)
	for line, want := range map[string]string{
		"relases":          "Error: there is no command \"relases\" below slipway\nDid you mean: slipway releases\n",
		"ps lits":          "Error: there is no command \"lits\" below slipway ps\nDid you mean: slipway ps list\n",
		"apps --bogus":     "Error: unknown flag: --bogus\nUsage and examples: slipway apps --help\n",
		"whoami me":        "Error: slipway whoami takes no arguments, and got \"me\"\nUsage and examples: slipway whoami --help\n",
		"config set":       "Error: slipway config set needs KEY=value\nUsage and examples: slipway config set --help\n",
		"config set FOO":   "Error: \"FOO\" sets nothing: write FOO=value\nUsage and examples: slipway config set --help\n",
		"scale web":        "Error: \"web\" scales nothing: write web=2\nUsage and examples: slipway scale --help\n",
		"scale web=-1":     "Error: \"web=-1\" scales nothing: write web=2\nUsage and examples: slipway scale --help\n",
		"scale web=100000": "Error: 100000 instances are too many: at most 1000\nUsage and examples: slipway scale --help\n",
		"rollback v1 v2":   "Error: slipway rollback takes one release such as v3, and got \"v2\" besides\nUsage and examples: slipway rollback --help\n",
		"run":              "Error: slipway run needs a COMMAND\nUsage and examples: slipway run --help\n",
		"help relases":     "Error: there is no command \"relases\" below slipway\nDid you mean: slipway releases\n",
		"cutover set foo=1": "Error: there is no key \"foo\"; there are strategy, steps, count, weight, header, cookie, mirror, by, sticky, pause, min-requests, " +
			"deadline, error-budget, latency-budget, size-budget\nUsage and examples: slipway cutover set --help\n",
		"cutover set strategy":        "Error: \"strategy\" sets nothing: write strategy=VALUE\nUsage and examples: slipway cutover set --help\n",
		"tls auto maybe":              "Error: \"maybe\" is neither on nor off\nUsage and examples: slipway tls auto --help\n",
		"autoscale set web --min few": "Error: --min: \"few\" is not a whole number\nUsage and examples: slipway autoscale set --help\n",
		"apps -c ../secret":           "Error: \"../secret\" names no context: use letters, digits and . _ -\n",
		"settings set maintenance=":   "Error: \"maintenance=\" sets nothing: write maintenance=on, routable=off or deploy_branch=NAME\nUsage and examples: slipway settings set --help\n",
	} {
		u.types(strings.Fields(line)...).want(t, 2, "", want)
	}
}

func TestAFileThatIsNotThereEndsWithThree(t *testing.T) {
	c := newContract(t, nil)
	u := at(t, c)
	want := "Error: there is no file " + filepath.Join(u.dir, "none") + "\n"
	for _, line := range []string{
		"keys add none", "config push -a blog --file none", "edge apply none -a blog", "edge page 404 none -a blog", "certs add shop none none",
	} {
		u.types(strings.Fields(line)...).want(t, 3, "", want)
	}
	if changes := c.changes(); len(changes) > 0 {
		t.Errorf("the platform was asked %q", changes)
	}
}

func TestWhoIsNotLoggedInIsToldHow(t *testing.T) {
	u := newUser(t)
	u.types("apps").want(t, 4, "", `
Error: you are not logged in
Log in with: slipway login [URL]; the first user is made with: slipway register [URL]
`)
	u.types("apps", "-c", "staging").want(t, 4, "", `
Error: you are not logged in to staging
Log in with: slipway login -c staging URL; see those there are with: slipway contexts
`)
}

func TestDeisColonFormsStillWork(t *testing.T) {
	c := newContract(t, map[string]string{
		"GET /v2/apps/":          `{"count":0,"next":null,"previous":null,"results":[]}`,
		"GET /v2/auth/whoami/":   `{"username":"bob","is_superuser":true}`,
		"POST /v2/apps/b/scale/": `204 `,
		"GET /v2/apps/b/pods/":   `{"count":0,"results":[]}`,
	})
	u := at(t, c)
	u.types("apps:list").want(t, 0, "", "There are no apps yet. Make one with: slipway create\n")
	u.types("auth:whoami").want(t, 0, "bob at "+c.URL+", an administrator\n", "")
	u.types("ps:scale", "web=0", "-a", "b").want(t, 0, "", "Scaling b to web=0… done\nNothing of b runs. Start something with: slipway scale web=1\n")
}

func TestAPluginRunsFromThePath(t *testing.T) {
	u := newUser(t)
	bin := t.TempDir()
	script := "#!/bin/sh\necho \"plugin $*\"\nexit 7\n"
	if err := os.WriteFile(filepath.Join(bin, "slipway-hello"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	u.env = append(u.env, "PATH="+bin+":"+os.Getenv("PATH"))
	u.types("hello", "-x", "you").want(t, 7, "plugin -x you\n", "")
}

func TestTheVersionIsAFlagAsWell(t *testing.T) {
	u := newUser(t)
	for _, flag := range []string{"-v", "--version"} {
		if got := u.types(flag); got.exit != 0 || !strings.HasPrefix(got.stdout, "slipway 1.2.3 ") {
			t.Errorf("%s: %+v", flag, got)
		}
	}
	if got := u.types("--version", "--json"); !strings.Contains(got.stdout, `"version": "1.2.3"`) {
		t.Errorf("got %+v", got)
	}
}

func TestNothingDrawsOnTheTerminalOfWhoeverLists(t *testing.T) {
	c := newContract(t, map[string]string{
		"GET /v2/apps/": `{"count":1,"next":null,"previous":null,"results":[{"id":"blog","owner":"\u001b[2Jbob\r\nx","structure":{},"created":"2016-10-18T11:57:00Z"}]}`,
	})
	if got := at(t, c).types("apps"); strings.ContainsAny(got.stdout, "\x1b\r") {
		t.Fatalf("got %q", got.stdout)
	}
}

func TestEveryCommandSaysWhatItDoesAndHow(t *testing.T) {
	root := cli.New(newUser(t).options(nil, io.Discard, io.Discard))
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Example == "" || cmd.Short == "" || cmd.Long == "" {
			if !cmd.Hidden {
				t.Errorf("%s has no example or no description", cmd.CommandPath())
			}
		}
		for line := range strings.Lines(cmd.Example) {
			if len(line) > 120 || !strings.HasPrefix(line, "  ") {
				t.Errorf("%s: the example %q is no line of its own", cmd.CommandPath(), line)
			}
		}
		if name := cmd.Name(); cmd != root && name != "completion" && name != "help" && cmd.Flag("json") == nil {
			t.Errorf("%s has no --json", cmd.CommandPath())
		}
		for _, below := range cmd.Commands() {
			visit(below)
		}
	}
	visit(root)
}

func TestEveryExampleIsACommandThatExists(t *testing.T) {
	root := cli.New(newUser(t).options(nil, io.Discard, io.Discard))
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example + "\n" + cmd.Long) {
			_, typed, ok := strings.Cut(line, "  slipway ")
			if words := strings.Fields(typed); ok && len(words) > 0 {
				found, rest, err := root.Find(words)
				if err != nil || found == root || found.HasSubCommands() && len(rest) > 0 && !strings.ContainsAny(rest[0][:1], "-#|\")") {
					t.Errorf("%s: the example %q is no command", cmd.CommandPath(), strings.TrimSpace(line))
				}
			}
		}
		for _, below := range cmd.Commands() {
			visit(below)
		}
	}
	visit(root)
}
