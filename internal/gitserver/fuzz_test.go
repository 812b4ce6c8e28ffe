package gitserver_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/slipway-paas/slipway/internal/gitserver"
)

// fuzzDoors is a server at both doors for fuzz targets, with one user, bob.
type fuzzDoors struct {
	server *gitserver.Server
	ssh    string
	http   string
	signer ssh.Signer
}

func openDoors(f *testing.F) *fuzzDoors {
	f.Helper()
	dir := f.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "keys"), os.DirFS(sharedKeys)); err != nil {
		f.Fatal(err)
	}
	auth := newAuth()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		f.Fatal(err)
	}
	auth.addKey(signer.PublicKey().Marshal(), "bob")
	server, err := gitserver.New(slog.New(slog.DiscardHandler), auth, newDesk(), gitserver.Options{Dir: dir})
	if err != nil {
		f.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	go server.ServeSSH(context.Background(), listener)
	web := httptest.NewUnstartedServer(server)
	web.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(panics{}, nil), slog.LevelInfo)
	web.Start()
	f.Cleanup(func() {
		web.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		if err := server.Close(ctx); err != nil {
			f.Errorf("close: %v", err)
		}
	})
	return &fuzzDoors{server: server, ssh: listener.Addr().String(), http: web.Listener.Addr().String(), signer: signer}
}

// panics ends the process when a handler panicked: net/http would go on.
type panics struct{}

func (panics) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("panic")) {
		panic(string(p))
	}
	return len(p), nil
}

// Whatever comes in is answered in words: by 200, a refusal, or 503 when git
// could not be served.
func FuzzHTTPRequestsAreAnswered(f *testing.F) {
	doors := openDoors(f)
	for _, seed := range []struct{ method, path, headers, body string }{
		{"GET", "/blog.git/info/refs?service=git-receive-pack", "", ""},
		{"GET", "/blog.git/info/refs?service=git-upload-pack", "Git-Protocol: version=2", ""},
		{"POST", "/blog.git/git-upload-pack", "Content-Type: application/x-git-upload-pack-request\r\nGit-Protocol: version=2", "0014command=ls-refs\n00010009peel\n0000"},
		{"POST", "/blog.git/git-upload-pack", "Content-Type: application/x-git-upload-pack-request", "0032want " + strings.Repeat("a", 40) + "\n00000009done\n"},
		{"POST", "/blog.git/git-receive-pack", "Content-Type: application/x-git-receive-pack-request", "0000"},
		{"POST", "/blog.git/git-receive-pack", "Content-Type: application/x-git-receive-pack-request", "0094" + strings.Repeat("0", 40) + " " + strings.Repeat("a", 40) + " refs/heads/main\x00 report-status side-band-64k agent=git/2.39" + "0000PACK\x00\x00\x00\x02\x00\x00\x00\x00"},
		{"POST", "/blog.git/git-receive-pack", "Content-Type: application/x-git-receive-pack-request\r\nContent-Encoding: gzip", "\x1f\x8b\x08"},
		{"POST", "/%2e%2e/git-receive-pack", "Content-Type: application/x-git-receive-pack-request", "0000"},
		{"PUT", "*", "Expect: 100-continue", "x"},
	} {
		f.Add(seed.method, seed.path, seed.headers, []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, method, path, headers string, body []byte) {
		conn, err := net.Dial("tcp", doors.http)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(5 * time.Minute))
		head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: git.localhost\r\nConnection: close\r\nAuthorization: token bob-token\r\nContent-Length: %d\r\n%s\r\n\r\n", method, path, len(body), headers)
		go func() {
			io.WriteString(conn, head)
			conn.Write(body)
			conn.(*net.TCPConn).CloseWrite()
		}()
		answer, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("no answer")
		}
		if err != nil {
			return // not HTTP, and told so in another way
		}
		defer answer.Body.Close()
		if _, err := io.Copy(io.Discard, answer.Body); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("the answer does not end")
		}
		allowed := []int{100, 200, 400, 401, 403, 404, 408, 413, 415, 417, 431, 501, 503, 505} // 501 and 505 are net/http's own
		if !slices.Contains(allowed, answer.StatusCode) {
			t.Errorf("%s %q: %s", method, path, answer.Status)
		}
	})
}

// Garbage before anybody is known ends in a closed connection.
func FuzzSSHHandshakesEnd(f *testing.F) {
	doors := openDoors(f)
	for _, seed := range []string{"", "GET / HTTP/1.1\r\n\r\n", "SSH-2.0-x\r\n", "SSH-1.5-x\r\n", "SSH-2.0-x\r\n\x00\x00\x00\x0c\x0a\x14", "SSH-2.0-x\r\n\xff\xff\xff\xff", strings.Repeat("x", 300)} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, versioned bool) {
		conn, err := net.Dial("tcp", doors.ssh)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(5 * time.Minute))
		if versioned {
			text = append([]byte("SSH-2.0-x\r\n"), text...)
		}
		conn.Write(text)
		conn.(*net.TCPConn).CloseWrite()
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the connection stays open")
		}
	})
}

// Requests on a session are granted or refused, and the session ends. The
// connection outlives it.
func FuzzSSHSessionsEnd(f *testing.F) {
	doors := openDoors(f)
	dial := func() *ssh.Client {
		conn, err := ssh.Dial("tcp", doors.ssh, &ssh.ClientConfig{
			User: "git", Auth: []ssh.AuthMethod{ssh.PublicKeys(doors.signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		})
		if err != nil {
			f.Fatal(err)
		}
		f.Cleanup(func() { conn.Close() })
		return conn
	}
	conn := dial()
	exec := func(line string) []byte { return ssh.Marshal(struct{ Line string }{line}) }
	for _, seed := range []struct {
		kind    string
		payload []byte
	}{
		{"exec", exec("ping")},
		{"exec", exec("git-receive-pack '/blog.git'")},
		{"exec", exec("git-upload-pack 'blog'")},
		{"exec", exec("git-upload-pack '..'")},
		{"exec", []byte("\xff\xff\xff\xff")},
		{"shell", nil},
		{"env", ssh.Marshal(struct{ Name, Value string }{"GIT_PROTOCOL", "version=2"})},
		{"pty-req", nil},
		{"subsystem", exec("sftp")},
	} {
		f.Add(seed.kind, seed.payload, []byte("0000"))
	}
	f.Fuzz(func(t *testing.T, kind string, payload, input []byte) {
		channel, requests, err := conn.OpenChannel("session", nil)
		if err != nil {
			t.Fatal(err)
		}
		late := time.AfterFunc(5*time.Minute, func() { panic("the session does not end") })
		defer late.Stop()
		go ssh.DiscardRequests(requests)
		granted, err := channel.SendRequest(kind, true, payload)
		if granted && kind != "exec" && kind != "shell" && kind != "env" {
			t.Errorf("%q was granted", kind)
		}
		if err == nil && granted && kind != "env" {
			channel.Write(input)
			channel.CloseWrite()
			go io.Copy(io.Discard, channel.Stderr())
			io.Copy(io.Discard, channel)
		}
		channel.Close()
	})
}
