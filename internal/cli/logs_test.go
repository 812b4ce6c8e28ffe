package cli_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/cli"
)

const logAnswer = `2016-10-18T20:29:38+00:00 deis[controller]: INFO config blog-1cf0cea updated
2016-10-18T20:29:39+00:00 blog[build]: -----> Go app detected
2016-10-18T20:29:40+00:00 blog[web.v2.x3ten]: GET / 200
2016-10-18T20:29:41+00:00 blog[router]: {"status":200}
not in the form
`

func TestLogsAreShownAsTheyAre(t *testing.T) {
	c := newContract(t, map[string]string{"GET /v2/apps/blog/logs": logAnswer, "GET /v2/apps/mute/logs": "204 "})
	u := at(t, c)
	u.types("logs", "-a", "blog").want(t, 0, logAnswer, "")
	u.types("logs", "-a", "mute").want(t, 0, "", "mute has said nothing yet.\n")
	u.types("logs", "-a", "mute", "-p", "wbe").want(t, 0, "", "Nothing of that kind is in the log of mute. See all of it with: slipway logs -a mute\n")
	u.types("logs", "-a", "mute", "--source", "router").want(t, 2, "", "Error: --source is one of app, build, controller\nUsage and examples: slipway logs --help\n")
	u.types("logs", "-a", "mute", "--since", "noon").want(t, 2, "", "Error: \"noon\" is no time: write 2h, 7d, 2026-01-31 or 2026-01-31T12:00:00Z\nUsage and examples: slipway logs --help\n")
	u.types("logs", "-a", "nope").want(t, 3, "", "Error: there is no app nope\nList yours with: slipway apps; make it with: slipway create\n")
	u.types("logs", "-a", "blog", "--json").want(t, 0, `
{"time":"2016-10-18T20:29:38+00:00","source":"controller","text":"INFO config blog-1cf0cea updated"}
{"time":"2016-10-18T20:29:39+00:00","source":"build","text":"-----> Go app detected"}
{"time":"2016-10-18T20:29:40+00:00","source":"app","process":"web","release":"v2","instance":"x3ten","text":"GET / 200"}
{"time":"2016-10-18T20:29:41+00:00","source":"app","process":"router","text":"{\"status\":200}"}
{"text":"not in the form"}
`, "")
}

func TestFollowingComesBackWithoutRepeating(t *testing.T) {
	const early, same, late = "2016-10-18T20:29:38+00:00 blog[web.v2.x3ten]: one\n",
		"2016-10-18T20:29:39+00:00 blog[web.v2.x3ten]: two\n", "2016-10-18T20:29:39+00:00 blog[web.v2.x3ten]: three\n"
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header()[api.HeaderAPIVersion] = []string{api.APIVersion}
		switch asked {
		case 1:
			fmt.Fprint(w, early, same)
		case 2:
			fmt.Fprint(w, early, same, late)
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer server.Close()
	u := at(t, &contract{Server: server})
	u.types("logs", "-f", "-a", "blog").want(t, 4, early+same+late, `
The stream ended; coming back to it.
Error: the server answered 403 and said no more
See who you are with: slipway whoami
`)
}

func TestDoctorFailsWhenSomethingDoes(t *testing.T) {
	c := newContract(t, map[string]string{"GET /v2/doctor": `[{"name":"disk","status":"ok","text":"80 GB free","cure":""}]`})
	u := at(t, c)
	u.types("doctor").want(t, 0, "The platform\n  ok   disk: 80 GB free\n", "")
	c.answers["GET /v2/doctor"] = `[{"name":"node","status":"fail","text":"gone for 5m","cure":"systemctl restart slipway-node"}]`
	u.types("doctor").want(t, 1, "The platform\n  fail node: gone for 5m\n       systemctl restart slipway-node\n", "")
	c.answers["GET /v2/doctor"] = `403 {"detail":"You do not have permission to perform this action."}`
	if got := u.types("doctor"); got.exit != 0 {
		t.Fatalf("got %+v", got)
	}
	if got := newUser(t).types("doctor"); got.exit != 0 {
		t.Fatalf("got %+v", got)
	}
}

func BenchmarkNew(b *testing.B) {
	o := cli.Options{Stdout: io.Discard, Stderr: io.Discard, Env: []string{}}
	for b.Loop() {
		cli.New(o)
	}
}
