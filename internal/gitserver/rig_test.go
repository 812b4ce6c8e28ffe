package gitserver_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/slipway-paas/slipway/internal/gitserver"
	"github.com/slipway-paas/slipway/internal/platform"
)

// serveDir, when set, makes this test binary a git server over that folder,
// for the tests that kill one.
const serveDir = "GITSERVER_TEST_DIR"

// sharedKeys is a keys folder that every server of the tests starts with:
// making an RSA key takes a while.
var sharedKeys string

func TestMain(m *testing.M) {
	if dir := os.Getenv(serveDir); dir != "" {
		serveUntilKilled(dir)
	}
	if _, err := exec.LookPath("git"); err != nil {
		fmt.Println("skipped: git is not installed")
		os.Exit(0)
	}
	if _, err := exec.LookPath("ssh"); err != nil {
		fmt.Println("skipped: ssh is not installed")
		os.Exit(0)
	}
	dir, err := os.MkdirTemp("", "gitserver")
	if err != nil {
		panic(err)
	}
	if _, err := gitserver.New(slog.New(slog.DiscardHandler), newAuth(), newDesk(), gitserver.Options{Dir: dir}); err != nil {
		panic(err)
	}
	sharedKeys = filepath.Join(dir, "keys")
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// users is who may come in, in memory.
type users struct {
	mu     sync.Mutex
	keys   map[string]string // wire format to user
	tokens map[string]string
}

func newAuth() *users {
	return &users{keys: map[string]string{}, tokens: map[string]string{"bob-token": "bob", "eve-token": "eve"}}
}

func (u *users) ByKey(_ context.Context, wire []byte) (platform.Caller, platform.Key, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	user, ok := u.keys[string(wire)]
	if !ok {
		return platform.Caller{}, platform.Key{}, fmt.Errorf("key: %w", platform.ErrUnauthenticated)
	}
	return platform.Caller{User: user}, platform.Key{Owner: user}, nil
}

func (u *users) ByToken(_ context.Context, token string) (platform.Caller, platform.User, error) {
	user, ok := u.tokens[token]
	if !ok {
		return platform.Caller{}, platform.User{}, fmt.Errorf("token: %w", platform.ErrUnauthenticated)
	}
	return platform.Caller{User: user}, platform.User{Username: user}, nil
}

func (u *users) addKey(wire []byte, user string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.keys[string(wire)] = user
}

func (u *users) dropKeys() {
	u.mu.Lock()
	defer u.mu.Unlock()
	clear(u.keys)
}

// desk owns the app blog of bob, in memory. What a push does is up to the test.
type desk struct {
	mu       sync.Mutex
	settings platform.Settings
	pushes   []platform.Source
	callers  []platform.Caller
	onPush   func(ctx context.Context, src platform.Source, out io.Writer) error
}

func newDesk() *desk { return &desk{} }

func (d *desk) Authorize(_ context.Context, caller platform.Caller, app string) error {
	switch {
	case app != "blog" && app != "shop":
		return &platform.NotFoundError{Kind: "App", ID: app}
	case caller.User != "bob":
		return fmt.Errorf("app %s: %w", app, platform.ErrForbidden)
	}
	return nil
}

func (d *desk) Settings(context.Context, platform.Caller, string) (platform.Settings, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.settings, nil
}

func (d *desk) Push(ctx context.Context, caller platform.Caller, _ string, src platform.Source, out io.Writer) error {
	d.mu.Lock()
	d.pushes, d.callers = append(d.pushes, src), append(d.callers, caller)
	act := d.onPush
	d.mu.Unlock()
	if act == nil {
		fmt.Fprintln(out, "-----> deployed")
		return nil
	}
	return act(ctx, src, out)
}

// deployed is what came to the desk: branches, in order.
func (d *desk) deployed() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	branches := []string{}
	for _, src := range d.pushes {
		branches = append(branches, src.Branch)
	}
	return branches
}

// when sets what the desk does with a push.
func (d *desk) when(act func(ctx context.Context, src platform.Source, out io.Writer) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.onPush = act
}

// hold makes the desk keep every push until release is called, and tell when
// one has arrived.
func (d *desk) hold() (arrived <-chan struct{}, release func()) {
	in, out := make(chan struct{}, 8), make(chan struct{})
	d.when(func(ctx context.Context, _ platform.Source, w io.Writer) error {
		fmt.Fprintln(w, "-----> building")
		in <- struct{}{}
		select {
		case <-out:
		case <-ctx.Done():
		}
		return ctx.Err()
	})
	return in, sync.OnceFunc(func() { close(out) })
}

// rig is a server at both doors and a user with a key and a clone.
type rig struct {
	t      *testing.T
	server *gitserver.Server
	desk   *desk
	auth   *users
	dir    string // the server's
	work   string // the user's repository
	key    string // the user's private key file
	ssh    string // host:port
	http   *httptest.Server
}

func newRig(t *testing.T) *rig { return newRigWith(t, gitserver.Options{}) }

func newRigWith(t *testing.T, opts gitserver.Options) *rig {
	t.Helper()
	r := &rig{t: t, desk: newDesk(), auth: newAuth(), dir: opts.Dir, work: t.TempDir()}
	if r.dir == "" {
		r.dir = t.TempDir()
	}
	opts.Dir = r.dir
	if err := os.CopyFS(filepath.Join(r.dir, "keys"), os.DirFS(sharedKeys)); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	var wire []byte
	r.key, wire = newKey(t)
	r.auth.addKey(wire, "bob")

	var err error
	r.server, err = gitserver.New(slog.New(slog.NewTextHandler(t.Output(), nil)), r.auth, r.desk, opts)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.ssh = listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- r.server.ServeSSH(context.Background(), listener) }()
	r.http = httptest.NewServer(r.server)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		if err := r.server.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		r.http.Close()
	})
	r.must("init", "-q", "-b", "main")
	r.commit("Procfile", "web: python app.py\n")
	return r
}

// newKey makes a key pair and returns the private key's file and the public
// key in wire format.
func newKey(t *testing.T) (file string, wire []byte) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "id_ed25519")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return file, key.Marshal()
}

const sshOptions = "-F /dev/null -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o IdentitiesOnly=yes -o BatchMode=yes"

// git prepares real git in a folder, as the user would run it.
func (r *rig) git(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + r.work, "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_SSH_COMMAND=ssh -i " + r.key + " " + sshOptions,
		"GIT_AUTHOR_NAME=bob", "GIT_AUTHOR_EMAIL=bob@example.com", "GIT_COMMITTER_NAME=bob", "GIT_COMMITTER_EMAIL=bob@example.com",
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// run runs git in the user's repository; out is all it printed.
func (r *rig) run(args ...string) (out string, code int) { return r.runIn(r.work, args...) }

func (r *rig) runIn(dir string, args ...string) (out string, code int) {
	r.t.Helper()
	cmd := r.git(dir, args...)
	text, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		r.t.Fatalf("git %v: %v", args, err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

func (r *rig) must(args ...string) string {
	r.t.Helper()
	out, code := r.run(args...)
	if code != 0 {
		r.t.Fatalf("git %v exited with %d:\n%s", args, code, out)
	}
	return out
}

func (r *rig) commit(name, content string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.work, name), []byte(content), 0o644); err != nil {
		r.t.Fatal(err)
	}
	r.must("add", name)
	r.must("commit", "-q", "-m", "change "+name)
}

func (r *rig) sshURL(app string) string { return "ssh://git@" + r.ssh + "/" + app + ".git" }

func (r *rig) httpURL(app string) string {
	return strings.Replace(r.http.URL, "http://", "http://bob:bob-token@", 1) + "/" + app + ".git"
}

// eachDoor runs the test over SSH and over HTTP, on a fresh rig each.
func eachDoor(t *testing.T, opts gitserver.Options, test func(t *testing.T, r *rig, url string)) {
	t.Run("over SSH", func(t *testing.T) {
		t.Parallel()
		r := newRigWith(t, opts)
		test(t, r, r.sshURL("blog"))
	})
	t.Run("over HTTP", func(t *testing.T) {
		t.Parallel()
		r := newRigWith(t, opts)
		test(t, r, r.httpURL("blog"))
	})
}

// ref is what a ref of the app's repository points at, on the server's disk.
func (r *rig) ref(name string) string {
	repo := filepath.Join(r.dir, "repositories", "blog.git")
	if _, err := os.Stat(repo); err != nil {
		return ""
	}
	out, code := r.runIn(repo, "rev-parse", "--verify", "-q", name)
	if code != 0 {
		return ""
	}
	return strings.TrimSpace(out)
}

// leftovers are quarantines and locks in the app's repository.
func (r *rig) leftovers() []string {
	var found []string
	for _, pattern := range []string{"objects/tmp_objdir-*", "objects/incoming-*", "*.lock", "refs/heads/*.lock"} {
		files, _ := filepath.Glob(filepath.Join(r.dir, "repositories", "blog.git", pattern))
		for _, file := range files {
			if !strings.HasPrefix(filepath.Base(file), "slipway-") {
				found = append(found, file)
			}
		}
	}
	return found
}

// pushUntilFree pushes until no other push is in the way, nor what is left of
// one to a server that was killed.
func (r *rig) pushUntilFree(url string, args ...string) (out string, code int) {
	r.t.Helper()
	deadline := time.Now().Add(5 * time.Minute)
	for {
		out, code = r.run(append([]string{"push", url}, args...)...)
		if code == 0 || !strings.Contains(out, "ongoing") || time.Now().After(deadline) {
			return out, code
		}
	}
}

func wantCode(t *testing.T, out string, code, want int) {
	t.Helper()
	if code != want {
		t.Fatalf("exit %d, want %d:\n%s", code, want, out)
	}
}

func wantText(t *testing.T, out string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(out, want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
}

func wantDeployed(t *testing.T, d *desk, want ...string) {
	t.Helper()
	if got := d.deployed(); !slices.Equal(got, want) {
		t.Errorf("deployed %v, want %v", got, want)
	}
}

// serveUntilKilled is the body of a server process: its desk keeps every push
// until the process dies.
func serveUntilKilled(dir string) {
	auth, d := newAuth(), newDesk()
	d.when(func(ctx context.Context, _ platform.Source, out io.Writer) error {
		fmt.Fprintln(out, "-----> building for ever")
		fmt.Println("building")
		<-ctx.Done()
		return ctx.Err()
	})
	server, err := gitserver.New(slog.New(slog.DiscardHandler), auth, d, gitserver.Options{Dir: dir})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr())
	panic(http.Serve(listener, server))
}

// child is a server in a process of its own.
type child struct {
	cmd   *exec.Cmd
	addr  string
	lines *bufio.Scanner
}

func startChild(t *testing.T, dir string) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.Command(self)}
	c.cmd.Env = append(os.Environ(), serveDir+"="+dir)
	var complaints bytes.Buffer
	c.cmd.Stderr = &complaints
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.kill)
	c.lines = bufio.NewScanner(out)
	if !c.lines.Scan() {
		t.Fatalf("the server did not start: %s", complaints.String())
	}
	c.addr = c.lines.Text()
	return c
}

// kill is kill -9.
func (c *child) kill() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
}
