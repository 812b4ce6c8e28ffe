package main_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slipway-paas/slipway/internal/porttest"
)

// patience is how long a script waits for what comes in its own time. Where all
// is well that is moments; it ends what will never come, and no machine is so
// slow that what does takes as long.
const patience = 5 * time.Minute

// bin holds the real binary, built once for all scripts.
var bin string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "slipway-bin")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", dir, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	bin = dir
	return m.Run()
}

// TestScripts runs every promise to a user with the real binary, git, ssh and
// curl. Besides testscript's own commands:
//
//	platform start      starts serve (and with it a node) and waits until it answers;
//	                    the first time it also makes the user "alice" and her SSH key
//	platform start bare the same without alice
//	platform kill       kill -9 of serve
//	platform terminate  SIGTERM to serve, and waits for its end
//	platform hangup     SIGHUP to serve, which goes on
//	platform interrupt  SIGINT to serve, and waits for its end
//	app NAME EXAMPLE    creates the app and a repository $WORK/NAME from examples/EXAMPLE
//	commit NAME MESSAGE commits whatever changed in $WORK/NAME
//	get [-retry] STATUS HOST[/PATH]   asks the edge; the answer is on stdout.
//	                    -retry asks until the status is right
//	builder-image       makes a builder image of Cloud Native Buildpacks, whose
//	                    buildpack does what the tree tells it, the platform's
//	push-over-http NAME pushes $WORK/NAME with a token; what git says is on stderr
//	await REGEXP PROGRAM ARG...   runs the program until a line of its stdout
//	                    matches, and ends it
//	load begin HOST     asks HOST again and again until "load end", at which none
//	                    of the answers may have been anything but 200
//	grpc plain|tls HOST calls the service Echo there in every way; "grpc begin HOST"
//	                    calls it again and again until "grpc end", and none may fail
//	gate shut           makes processes wait that do "cat </dev/tcp/127.0.0.1/$GATE",
//	                    in bash; "gate await" waits until one does, "gate open" lets all pass
//	disk SIZE           puts the state directory on a disk of its own, such as 64m;
//	                    "disk fill" leaves no byte free on it, "disk free" ends that
//	elsewhere start [USER:PASSWORD]   starts a registry of somebody else, which only
//	                    that user may ask; it is at $ELSEWHERE. "elsewhere stop" ends it
//	image KIND REPOSITORY:TAG   makes an image and gives it to that; KIND is
//	                    static (one Go program from scratch), portless, foreign
//	                    (for another machine) or debian (a server in Perl)
//	authority start [SECONDS]   starts a certificate authority that looks for proofs at
//	                    the platform's ports, and a name server for the zone test that
//	                    leads there; SLIPWAY_ACME_CA and _CA_ROOT name it, dns.conf holds
//	                    the settings of --acme-dns rfc2136, issued-by.pem is who signs.
//	                    "authority stop" ends it, "authority again" starts it anew
//	secure HOST         asks the edge by HTTPS until that authority has signed the
//	                    host's certificate; the answer is on stdout. With ! until it has not
//	service redis|postgres   starts one for this script; its URL is in
//	                    $REDIS_URL or $SLIPWAY_DATABASE
//
//	stack-image TAG     pushes Debian's smallest, with the file /etc/stack that
//	                    says TAG, to the platform's registry as stack:TAG
//	mirror [golang] [node]
//	                    starts a mirror of Docker Hub with debian:bookworm and those
//
// and the conditions [mount], [postgres], [flask], [debootstrap], [http2],
// [dockerfiles], [golang], [node] and [containers]: this machine can.
func TestScripts(t *testing.T) {
	for _, program := range []string{"git", "ssh", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	testscript.Run(t, testscript.Params{
		Dir:             "testdata/script",
		ContinueOnError: false,
		Setup:           setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"platform": platformCommand,
			"app":      appCommand,
			"commit":   commitCommand,
			"get":      getCommand,
			"await":    awaitCommand,
			"service":  serviceCommand,

			"authority": authorityCommand,
			"secure":    secureCommand,
			"terminal":  terminalCommand,
			"load":      loadCommand,
			"gate":      gateCommand,
			"disk":      diskCommand,
			"grpc":      grpcCommand,
			"mirror":    mirrorCommand(t),

			"image":     imageCommand(t),
			"elsewhere": elsewhereCommand,

			"stack-image": stackImageCommand,

			"push-over-http": pushOverHTTPCommand,
			"builder-image":  builderImageCommand(t),
			"await-process":  awaitProcessCommand,
		},
		Condition: condition,
	})
}

func setup(env *testscript.Env) error {
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		return err
	}
	state, err := os.MkdirTemp("", "slipway-state") // short: sockets live in it
	if err != nil {
		return err
	}
	env.Defer(func() { os.RemoveAll(state) })
	p := &daemon{state: state}
	env.Values["platform"] = p
	env.Defer(p.end)
	env.Values["seat"] = &seat{}
	issuer := &authority{}
	env.Values["authority"] = issuer
	env.Defer(issuer.end)
	env.Values["elsewhere"] = &elsewhere{}
	env.Values["calls"] = &calls{}
	env.Values["gate"] = &gateSeat{}
	env.Setenv("PATH", bin+":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/go/bin")
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, ".config"))
	env.Setenv("EXAMPLES", examples)
	env.Setenv("DOCS", filepath.Join(examples, "../docs"))
	env.Setenv("SLIPWAY_STATE", state)
	env.Setenv("STATE", state)
	for _, name := range []string{"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "GOPROXY", "GOFLAGS", "GOTOOLCHAIN"} {
		if value := os.Getenv(name); value != "" {
			env.Setenv(name, value)
		}
	}
	doors := []string{"HTTP", "HTTPS", "API", "SSH", "REGISTRY"}
	port, err := porttest.Free(len(doors) + 10)
	if err != nil {
		return err
	}
	for i, option := range doors {
		env.Setenv("SLIPWAY_"+option, "127.0.0.1:"+strconv.Itoa(port+i))
		env.Setenv(option+"_PORT", strconv.Itoa(port+i))
	}
	env.Setenv("TCP_PORTS", fmt.Sprintf("%d-%d", port+len(doors), port+len(doors)+9))
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		env.Setenv("GIT_"+who+"_NAME", "alice")
		env.Setenv("GIT_"+who+"_EMAIL", "alice@localhost")
	}
	env.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	env.Setenv("GIT_SSH_COMMAND", "ssh -i "+env.WorkDir+"/.ssh/id_ed25519 -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -F /dev/null")
	return nil
}

// daemon is one script's serve process.
type daemon struct {
	state  string
	serve  *exec.Cmd
	output bytes.Buffer
	exited chan struct{}
	known  bool // alice exists
	load   *load
}

func (d *daemon) start(ts *testscript.TestScript) {
	d.serve = exec.Command(filepath.Join(bin, "slipway"), "serve")
	d.serve.Env = environment(ts)
	d.output.Reset()
	log, err := os.OpenFile(filepath.Join(d.state, "serve.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	defer log.Close()
	d.serve.Stdout, d.serve.Stderr = log, log
	ts.Check(d.serve.Start())
	d.exited = make(chan struct{})
	go func() { d.serve.Wait(); close(d.exited) }()
	if err := ts.Exec("slipway", "wait-ready", "--timeout", patience.String(), "--pid", strconv.Itoa(d.serve.Process.Pid)); err != nil {
		d.tell(ts)
		ts.Fatalf("the platform did not get ready: %v", err)
	}
	if d.known {
		return
	}
	d.known = true
	ts.Check(os.MkdirAll(ts.MkAbs(".ssh"), 0o700))
	ts.Check(ts.Exec("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "alice@laptop", "-f", ts.MkAbs(".ssh/id_ed25519")))
	ts.Check(os.WriteFile(ts.MkAbs(".password"), []byte("correct horse battery\n"), 0o600))
	ts.Check(ts.Exec("sh", "-c", "slipway register http://slipway.${SLIPWAY_DOMAIN:-localhost}:$HTTP_PORT --username alice --email alice@example.com --password-stdin <.password"))
	ts.Check(ts.Exec("slipway", "keys", "add", ts.MkAbs(".ssh/id_ed25519.pub")))
}

// environment is what a process outside of testscript's own commands gets of
// the script's.
func environment(ts *testscript.TestScript) (env []string) {
	for _, name := range []string{
		"PATH", "HOME", "XDG_CONFIG_HOME", "SLIPWAY_STATE", "SLIPWAY_HTTP", "SLIPWAY_HTTPS", "SLIPWAY_API", "SLIPWAY_SSH", "SLIPWAY_REGISTRY",
		"SLIPWAY_HTTPS_PORT", "SLIPWAY_TCP_PORTS", "SLIPWAY_DEPLOY_TIMEOUT", "SLIPWAY_TRUSTED_PROXIES",
		"SLIPWAY_EDGE_DEFAULTS", "SLIPWAY_HTTPS_ONLY", "SLIPWAY_WHITELIST", "SLIPWAY_WHITELIST_MODE", "SLIPWAY_DEFAULT_APP",
		"SLIPWAY_DOMAIN", "SLIPWAY_DATABASE", "SLIPWAY_RUNTIME", "SLIPWAY_MAX_PUSH", "SLIPWAY_SECRET_KEY",
		"SLIPWAY_BUILD_DISK", "SLIPWAY_BUILD_MEMORY", "SLIPWAY_BUILD_SILENCE", "SLIPWAY_BUILD_TIMEOUT", "SLIPWAY_REGISTRY_MIRRORS", "SLIPWAY_MAX_IMAGE",
		"SLIPWAY_INSECURE_REGISTRIES", "SLIPWAY_CNB_BUILDER", "SLIPWAY_CNB_DEFAULT", "SLIPWAY_ACCESS_LOG",
		"SLIPWAY_ACME", "SLIPWAY_ACME_CA", "SLIPWAY_ACME_CA_ROOT", "SLIPWAY_ACME_DNS", "SLIPWAY_ACME_DNS_FILE", "SLIPWAY_ACME_RETRY", "SLIPWAY_ACME_ON_DEMAND",
		"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "GOPROXY", "GOFLAGS", "GOTOOLCHAIN",
	} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	return env
}

// tell copies what the daemons said to the script's log.
func (d *daemon) tell(ts *testscript.TestScript) {
	for _, file := range []string{"serve.log", "log/node.log"} {
		if text, err := os.ReadFile(filepath.Join(d.state, file)); err == nil {
			ts.Logf("%s:\n%s", file, text)
		}
	}
}

func (d *daemon) signal(ts *testscript.TestScript, sig syscall.Signal) {
	ts.Check(d.serve.Process.Signal(sig))
	select {
	case <-d.exited:
	case <-time.After(patience):
		d.tell(ts)
		ts.Fatalf("serve did not end within %s of %v", patience, sig)
	}
}

// end stops what the script left running, the node and its apps included.
func (d *daemon) end() {
	if d.serve == nil {
		return
	}
	_ = d.serve.Process.Kill() // first, for it starts a node that is gone again
	<-d.exited
	stop := exec.Command(filepath.Join(bin, "slipway"), "node", "--stop", "--state", d.state)
	_ = stop.Run() // there may be none
}

func platformCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || len(args) > 2 || len(args) == 2 && (args[0] != "start" || args[1] != "bare") {
		ts.Fatalf("usage: platform start [bare]|kill|terminate|hangup|interrupt")
	}
	d := ts.Value("platform").(*daemon)
	d.known = d.known || len(args) == 2
	switch args[0] {
	case "start":
		d.start(ts)
	case "kill":
		d.signal(ts, syscall.SIGKILL)
	case "terminate":
		d.signal(ts, syscall.SIGTERM)
	case "hangup":
		ts.Check(d.serve.Process.Signal(syscall.SIGHUP))
	case "interrupt":
		d.signal(ts, syscall.SIGINT)
	default:
		ts.Fatalf("platform %s: no such command", args[0])
	}
}

func appCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: app NAME EXAMPLE")
	}
	name, dir := args[0], ts.MkAbs(args[0])
	ts.Check(ts.Exec("slipway", "create", name, "--no-remote"))
	ts.Check(ts.Exec("cp", "-r", filepath.Join(ts.Getenv("EXAMPLES"), args[1]), dir))
	ts.Check(ts.Exec("git", "-C", dir, "init", "--quiet", "--initial-branch", "main"))
	ts.Check(ts.Exec("git", "-C", dir, "remote", "add", "slipway", "ssh://git@127.0.0.1:"+ts.Getenv("SSH_PORT")+"/"+name+".git"))
	commitCommand(ts, false, []string{name, "first"})
}

func commitCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: commit NAME MESSAGE")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(ts.Exec("git", "-C", dir, "add", "--all"))
	ts.Check(ts.Exec("git", "-C", dir, "commit", "--quiet", "--allow-empty", "--message", args[1]))
}

func pushOverHTTPCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: push-over-http NAME")
	}
	here := ts.MkAbs(".")
	ts.Check(ts.Chdir(args[0]))
	ts.Check(ts.Exec("slipway", "git", "remote", "--app", args[0], "--http", "--name", "web", "--force"))
	err := ts.Exec("git", "push", "web", "main")
	fmt.Fprint(ts.Stderr(), ts.ReadFile("stderr"))
	ts.Check(ts.Chdir(here))
	ts.Check(err)
}

func awaitCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await REGEXP PROGRAM ARG...")
	}
	want, err := regexp.Compile(args[0])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "env", args[1:]...) // which looks in the script's PATH
	cmd.Env, cmd.Dir = environment(ts), ts.MkAbs(".")
	output, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	defer func() { cancel(); _ = cmd.Wait() }() // it ends by being stopped
	var said strings.Builder
	for lines := bufio.NewScanner(output); lines.Scan(); {
		fmt.Fprintln(&said, lines.Text())
		if want.MatchString(lines.Text()) {
			fmt.Fprint(ts.Stdout(), said.String())
			return
		}
	}
	ts.Value("platform").(*daemon).tell(ts)
	ts.Fatalf("no line of %v matched %v:\n%s", args[1:], want, said.String())
}

func getCommand(ts *testscript.TestScript, neg bool, args []string) {
	retry := len(args) > 0 && args[0] == "-retry"
	if retry {
		args = args[1:]
	}
	if neg || len(args) != 2 {
		ts.Fatalf("usage: get [-retry] STATUS HOST[/PATH]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	host, path, _ := strings.Cut(args[1], "/")
	deadline := time.Now().Add(patience)
	for {
		status, body, err := get(ts.Getenv("SLIPWAY_HTTP"), host, "/"+path)
		if err == nil && status == want {
			fmt.Fprint(ts.Stdout(), body)
			return
		}
		if !retry || time.Now().After(deadline) {
			ts.Value("platform").(*daemon).tell(ts)
			ts.Fatalf("%s answered %d %q (%v), want %d", args[1], status, body, err, want)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func get(edge, host, path string) (status int, body string, err error) {
	request, err := http.NewRequest(http.MethodGet, "http://"+edge+path, nil)
	if err != nil {
		return 0, "", err
	}
	request.Host, request.Close = host, true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}
