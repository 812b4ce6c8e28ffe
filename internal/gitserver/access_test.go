package gitserver_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/slipway-paas/slipway/internal/gitserver"
)

// sshRun is "ssh who@server words" by the real client.
func (r *rig) sshRun(who string, words ...string) (out string, code int) {
	r.t.Helper()
	host, port, _ := net.SplitHostPort(r.ssh)
	args := append([]string{"-i", r.key, "-p", port}, strings.Fields(sshOptions)...)
	cmd := exec.Command("ssh", append(append(args, who+"@"+host), words...)...)
	text, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

func TestPingIsAnsweredWithPong(t *testing.T) {
	t.Parallel()
	out, code := newRig(t).sshRun("anybody", "ping")
	wantCode(t, out, code, 0)
	if out != "pong" {
		t.Errorf("got %q", out)
	}
}

func TestHandshakeWaitsForNoDelayedAcknowledgement(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	fastest := time.Hour
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); { // a delayed one takes 40 ms, and there would be two; a busy machine keeps some waiting
		began := time.Now()
		out, code := r.sshRun("git", "ping")
		wantCode(t, out, code, 0)
		if fastest = min(fastest, time.Since(began)); fastest < 80*time.Millisecond {
			break
		}
	}
	t.Logf("ssh takes %s", fastest)
	if fastest >= 80*time.Millisecond {
		t.Errorf("ssh takes %s", fastest)
	}
}

func TestThereIsNoShell(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	out, code := r.sshRun("git")
	wantCode(t, out, code, 1)
	wantText(t, out, "Hi bob! Slipway speaks git here")

	session, err := r.dial().NewSession() // as from a terminal
	if err != nil {
		t.Fatal(err)
	}
	if err := session.RequestPty("xterm", 24, 80, nil); err == nil {
		t.Error("a terminal was given")
	}
	var told bytes.Buffer
	session.Stderr = &told
	if err := errors.Join(session.Shell(), session.Wait()); err == nil {
		t.Error("a shell was given")
	}
	wantText(t, told.String(), "Hi bob! Slipway speaks git here")

	out, code = r.sshRun("git", "cat", "/etc/passwd")
	wantCode(t, out, code, 128)
	wantText(t, out, "slipway speaks git here, and has no other commands")
	out, code = r.sshRun("git", "git-receive-pack", "'../blog.git'")
	wantCode(t, out, code, 128)
	wantText(t, out, "No repo given")
}

func TestUnknownKeysAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.key, _ = newKey(t)
	out, code := r.run("push", r.sshURL("blog"), "main")
	wantCode(t, out, code, 128)
	wantText(t, out, "Permission denied (publickey)")
}

func TestARemovedKeyEndsEvenOnAnOpenConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	conn := r.dial()
	if out, err := conn.run("ping"); out != "pong" || err != nil {
		t.Fatalf("%q, %v", out, err)
	}
	r.auth.dropKeys()
	if out, err := conn.run("ping"); err == nil || !strings.Contains(out, "is not known") {
		t.Errorf("%q, %v", out, err)
	}
}

func TestUnknownAndForeignAppsNameTheCure(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, url := range []string{r.sshURL("nope"), r.httpURL("nope")} {
		for _, verb := range [][]string{{"push", url, "main"}, {"fetch", url}} {
			out, code := r.run(verb...)
			wantCode(t, out, code, 128)
			wantText(t, out, `app "nope" does not exist: create it with  slipway apps create nope`)
		}
	}
	var wire []byte
	r.key, wire = newKey(t)
	r.auth.addKey(wire, "eve")
	out, code := r.run("push", r.sshURL("blog"), "main")
	wantCode(t, out, code, 128)
	wantText(t, out, `may not push to app "blog" or fetch it: ask its owner to make you a deployer of it`)
	out, code = r.run("push", strings.Replace(r.httpURL("blog"), "bob-token", "eve-token", 1), "main")
	wantCode(t, out, code, 128)
	if _, err := os.Stat(filepath.Join(r.dir, "repositories", "blog.git")); err == nil {
		t.Error("a stranger made a repository")
	}
}

func TestHTTPTakesTokensAndPasswords(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	plain := r.http.URL + "/blog.git"
	login := func(userinfo string) string { return strings.Replace(plain, "http://", "http://"+userinfo+"@", 1) }
	for _, url := range []string{login("anybody:bob-token"), login("bob-token:x-oauth-basic")} {
		out, code := r.run("ls-remote", url)
		wantCode(t, out, code, 0)
	}
	out, code := r.run("-c", "http.extraHeader=Authorization: token bob-token", "ls-remote", plain)
	wantCode(t, out, code, 0)
	for _, url := range []string{plain, login("bob:wrong"), login("nobody-token:")} {
		out, code := r.run("ls-remote", url)
		wantCode(t, out, code, 128)
	}
}

func TestFetchAndCloneWork(t *testing.T) {
	t.Parallel()
	eachDoor(t, gitserver.Options{}, func(t *testing.T, r *rig, url string) {
		for range 60 { // enough for git to compress its requests
			r.commit("log", r.must("rev-parse", "HEAD"))
		}
		r.must("push", url, "main")
		for _, version := range []string{"0", "2"} {
			clone := filepath.Join(t.TempDir(), "clone")
			out, code := r.run("-c", "protocol.version="+version, "clone", "-q", url, clone)
			wantCode(t, out, code, 0)
			r.commit("log", "version "+version)
			r.must("push", url, "main")
			out, code = r.runIn(clone, "-c", "protocol.version="+version, "pull", "-q")
			wantCode(t, out, code, 0)
			if text, err := os.ReadFile(filepath.Join(clone, "log")); string(text) != "version "+version {
				t.Errorf("pulled %q, %v", text, err)
			}
		}
		trace := r.git(r.work, "-c", "protocol.version=2", "ls-remote", url)
		trace.Env = append(trace.Env, "GIT_TRACE_PACKET=1")
		text, err := trace.CombinedOutput()
		if err != nil || !strings.Contains(string(text), "version 2") {
			t.Errorf("protocol v2 is not spoken: %v\n%s", err, text)
		}
	})
}

func TestCompressedRequestsAreUnderstood(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.must("push", r.sshURL("blog"), "main")
	var body bytes.Buffer
	compress := gzip.NewWriter(&body)
	io.WriteString(compress, "0014command=ls-refs\n00010009peel\n0000")
	compress.Close()
	request, err := http.NewRequest(http.MethodPost, r.httpURL("blog")+"/git-upload-pack", &body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-git-upload-pack-request")
	request.Header.Set("Content-Encoding", "gzip")
	request.Header.Set("Git-Protocol", "version=2")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if text, _ := io.ReadAll(response.Body); !strings.Contains(string(text), "refs/heads/main") {
		t.Errorf("%s: %q", response.Status, text)
	}
}

func TestOddRequestsAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, odd := range []struct {
		method, path, contentType string
		want                      int
	}{
		{"GET", "", "", 404},
		{"GET", "/", "", 404},
		{"GET", "/blog.git", "", 404},
		{"GET", "/..%2fblog.git/info/refs", "", 404},
		{"GET", "/blog.git/HEAD", "", 404},
		{"GET", "/blog.git/info/refs", "", 403},
		{"GET", "/blog.git/info/refs?service=git-gc", "", 403},
		{"POST", "/blog.git/info/refs?service=git-receive-pack", "", 404},
		{"GET", "/blog.git/git-receive-pack", "", 404},
		{"POST", "/blog.git/git-receive-pack", "application/x-www-form-urlencoded", 415},
		{"POST", "/blog.git/git-receive-pack", "application/x-git-receive-pack-request", 200}, // an empty push
	} {
		request, err := http.NewRequest(odd.method, r.http.URL+odd.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.SetBasicAuth("bob", "bob-token")
		if odd.contentType != "" {
			request.Header.Set("Content-Type", odd.contentType)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != odd.want {
			t.Errorf("%s %s: %s, want %d", odd.method, odd.path, response.Status, odd.want)
		}
	}
}

func TestConnectionsAndSessionsAreBounded(t *testing.T) {
	t.Parallel()
	r := newRigWith(t, gitserver.Options{MaxConnections: 1})
	conn := r.dial()
	raw, err := net.Dial("tcp", r.ssh)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(5 * time.Minute))
	if n, err := raw.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("one connection too many was served: %d, %v", n, err)
	}
	for i := range 8 {
		if _, err := conn.NewSession(); err != nil {
			t.Fatalf("session %d: %v", i, err)
		}
	}
	if _, err := conn.NewSession(); err == nil {
		t.Error("one session too many was opened")
	}
	if _, _, err := conn.OpenChannel("direct-tcpip", nil); err == nil {
		t.Error("a tunnel was opened")
	}
}

// sshClient is a connection that stays open.
type sshClient struct{ *ssh.Client }

func (r *rig) dial() sshClient {
	r.t.Helper()
	text, err := os.ReadFile(r.key)
	if err != nil {
		r.t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		r.t.Fatal(err)
	}
	conn, err := ssh.Dial("tcp", r.ssh, &ssh.ClientConfig{
		User: "git", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	return sshClient{conn}
}

func (c sshClient) run(line string) (string, error) {
	session, err := c.NewSession()
	if err != nil {
		return "", err
	}
	defer session.Close()
	out, err := session.CombinedOutput(line)
	return string(out), err
}

func TestHostKeysAreMadeOnceAndKeptSecret(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		info, err := os.Stat(filepath.Join(sharedKeys, "ssh_host_"+kind+"_key"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", kind, info, err)
		}
	}
	r := newRig(t) // starts from the shared keys
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		name := "ssh_host_" + kind + "_key"
		before, _ := os.ReadFile(filepath.Join(sharedKeys, name))
		after, err := os.ReadFile(filepath.Join(r.dir, "keys", name))
		if err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s was replaced: %v", name, err)
		}
	}
	broken := t.TempDir()
	if err := os.MkdirAll(filepath.Join(broken, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(broken, "keys", "ssh_host_ed25519_key"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := gitserver.New(discard(), newAuth(), newDesk(), gitserver.Options{Dir: broken}); err == nil || !strings.Contains(err.Error(), "ssh_host_ed25519_key") {
		t.Errorf("a broken host key gave %v", err)
	}
}
