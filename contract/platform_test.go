package contract_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/porttest"
)

// platform is one running Slipway.
type platform struct {
	base   string // http://slipway.localhost:port, through the edge
	domain string
	edge   int // port of HTTP
	https  int
	state  string
	admin  *user // the first one, a superuser
}

// startPlatform runs the real binary until the test is over.
func startPlatform(t *testing.T, options ...string) *platform {
	t.Helper()
	state, err := os.MkdirTemp("", "slipway-state") // short: sockets live in it
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(state) })
	doors := []string{"HTTP", "HTTPS", "API", "SSH", "REGISTRY"}
	port, err := porttest.Free(len(doors))
	must(t, err)
	env := append(os.Environ(), "SLIPWAY_STATE="+state, "HOME="+state)
	for i, option := range doors {
		env = append(env, fmt.Sprintf("SLIPWAY_%s=127.0.0.1:%d", option, port+i))
	}
	log, err := os.Create(filepath.Join(state, "serve.log"))
	must(t, err)
	defer log.Close()
	serve := exec.Command(filepath.Join(bin, "slipway"), "serve")
	serve.Env, serve.Stdout, serve.Stderr = append(append(env, startMirror(t)), options...), log, log
	must(t, serve.Start())
	t.Cleanup(func() {
		_ = serve.Process.Signal(syscall.SIGINT) // it may have ended
		_ = serve.Wait()                         // by the signal
		if t.Failed() {
			text, _ := os.ReadFile(log.Name()) // what there is of it
			t.Logf("serve said:\n%s", text[max(0, len(text)-8000):])
		}
	})
	ready := exec.Command(filepath.Join(bin, "slipway"), "wait-ready", "--timeout", "5m", "--pid", strconv.Itoa(serve.Process.Pid))
	ready.Env = env
	if out, err := ready.CombinedOutput(); err != nil {
		t.Fatalf("the platform did not get ready: %v\n%s", err, out)
	}
	p := &platform{base: fmt.Sprintf("http://slipway.localhost:%d", port), domain: "localhost", edge: port, https: port + 1, state: state}
	p.admin = &user{p: p, name: "admin", password: "correct horse battery"}
	p.admin.registerBy(t, nil)
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// user is somebody with a token; a nil user is nobody.
type user struct {
	p                     *platform
	name, password, token string
}

// unique is a name nobody has, with letters and digits only.
func unique(prefix string) string { return prefix + strings.ToLower(rand.Text()[:8]) }

// user registers somebody new.
func (p *platform) user(t *testing.T) *user {
	t.Helper()
	u := &user{p: p, name: unique("u"), password: "pass " + rand.Text()}
	u.registerBy(t, p.admin)
	return u
}

func (u *user) registerBy(t *testing.T, by *user) {
	t.Helper()
	body := map[string]string{"username": u.name, "password": u.password, "email": ""}
	u.p.as(t, by).post("/v2/auth/register/", body).status(201)
	u.token = u.login(t)
}

func (u *user) login(t *testing.T) string {
	t.Helper()
	body := map[string]string{"username": u.name, "password": u.password}
	return u.p.as(t, nil).post("/v2/auth/login/", body).status(200).field("token")
}

// app makes one with a unique name, owned by u.
func (u *user) app(t *testing.T) string {
	t.Helper()
	id := unique("app-")
	u.p.as(t, u).post("/v2/apps/", map[string]string{"id": id}).status(201)
	return id
}

// client asks as somebody.
type client struct {
	t      *testing.T
	p      *platform
	who    *user
	header map[string]string
}

func (p *platform) as(t *testing.T, who *user) *client {
	t.Helper()
	return &client{t: t, p: p, who: who}
}

// with sets a header of the requests.
func (c *client) with(name, value string) *client {
	other := *c
	other.header = map[string]string{}
	maps.Copy(other.header, c.header)
	other.header[name] = value
	return &other
}

// transport finds every name on this machine, whatever its resolver knows.
// It closes what is idle before the edge does: a POST that crossed that would be lost.
var transport = &http.Transport{
	IdleConnTimeout: 10 * time.Second,
	DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	},
}

// web is a client of HTTP that follows no redirect: the contract has none.
var web = &http.Client{
	Transport:     transport,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (c *client) get(path string) *answer { c.t.Helper(); return c.ask("GET", path, nil) }

func (c *client) post(path string, body any) *answer { c.t.Helper(); return c.ask("POST", path, body) }

func (c *client) remove(path string, body any) *answer {
	c.t.Helper()
	return c.ask("DELETE", path, body)
}

// ask sends a request as the Deis SDK does: always with the JSON content
// type. body is sent as it is when it is a string, else as JSON; nil is empty.
func (c *client) ask(method, path string, body any) *answer {
	c.t.Helper()
	var text []byte
	switch body := body.(type) {
	case nil:
	case string:
		text = []byte(body)
	default:
		var err error
		text, err = json.Marshal(body)
		must(c.t, err)
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.p.base+path, bytes.NewReader(text))
	must(c.t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Deis Client v2.18.0")
	if c.who != nil {
		r.Header.Set("Authorization", "token "+c.who.token)
	}
	for name, value := range c.header {
		r.Header.Set(name, value)
	}
	resp, err := web.Do(r)
	must(c.t, err)
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	must(c.t, err)
	a := &answer{t: c.t, asked: method + " " + path + " " + string(text), code: resp.StatusCode, header: resp.Header, body: said}
	a.common()
	return a
}
