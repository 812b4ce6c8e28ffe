package buildpack_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/porttest"
)

// site starts the static buildpack's server on files and returns its address
// and its process.
func site(t *testing.T, files map[string]string, env ...string) (string, *exec.Cmd) {
	t.Helper()
	needs(t, "/usr/bin/perl")
	server, err := filepath.Abs("bundle/static/server.pl")
	if err != nil {
		t.Fatal(err)
	}
	port, err := porttest.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)

	cmd := exec.CommandContext(t.Context(), "/usr/bin/perl", server)
	cmd.Dir = commit(t, files)
	cmd.Env = append(env, "HOST=127.0.0.1", "PORT="+strconv.Itoa(port))
	cmd.Stderr = testWriter{t}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(5 * time.Minute); ; {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			return address, cmd
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// raw sends one request as it stands and returns the answer.
func raw(t *testing.T, address, head string) (*http.Response, string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, head); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(head, " ")
	answer, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", head, err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("%q: %v", head, err)
	}
	return answer, string(body)
}

func TestTheStaticServerAnswers(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("outside"), 0o644); err != nil {
		t.Fatal(err)
	}
	address, cmd := site(t, map[string]string{
		"public/index.html": "<h1>home</h1>", "public/a b.css": "css", "public/docs/index.html": "docs", "public/about.html": "about",
		"public/.hidden": "hidden", "public/empty.txt": "", "public/digits.txt": "0123456789", "public/404.html": "lost",
		"public/.well-known/x.json": "{}", "static.json": `{"root": "public", "clean_urls": true}`, "secret.txt": "secret",
	}, "WORKFLOW_RELEASE_CREATED_AT=2026-11-21T04:00:00Z")
	if err := os.Symlink(outside, filepath.Join(cmd.Dir, "public", "link")); err != nil {
		t.Fatal(err)
	}
	const date = "Sat, 21 Nov 2026 04:00:00 GMT"
	for _, c := range []struct {
		head   string
		status int
		body   string
		header string // one that must be there, as "Key: value"
	}{
		{"GET / HTTP/1.1\r\nHost: x", 200, "<h1>home</h1>", "Content-Type: text/html; charset=utf-8"},
		{"GET /index.html?x=1 HTTP/1.1\r\nHost: x", 200, "<h1>home</h1>", "Last-Modified: " + date},
		{"GET /a%20b.css HTTP/1.1\r\nHost: x", 200, "css", "Content-Type: text/css; charset=utf-8"},
		{"HEAD /digits.txt HTTP/1.1\r\nHost: x", 200, "", "Content-Length: 10"},
		{"GET /empty.txt HTTP/1.1\r\nHost: x", 200, "", "Content-Length: 0"},
		{"GET /docs HTTP/1.1\r\nHost: x", 301, "301 Moved Permanently\n", "Location: /docs/"},
		{"GET //docs?q HTTP/1.1\r\nHost: x", 301, "301 Moved Permanently\n", "Location: /docs/?q"},
		{"GET /docs/ HTTP/1.1\r\nHost: x", 200, "docs", ""},
		{"GET /about HTTP/1.1\r\nHost: x", 200, "about", "Content-Type: text/html; charset=utf-8"},
		{"GET /nothing HTTP/1.1\r\nHost: x", 404, "lost", "Content-Type: text/html; charset=utf-8"},
		{"GET /../secret.txt HTTP/1.1\r\nHost: x", 404, "lost", ""},
		{"GET /%2e%2e/secret.txt HTTP/1.1\r\nHost: x", 404, "lost", ""},
		{"GET /docs/../../secret.txt HTTP/1.1\r\nHost: x", 404, "lost", ""},
		{"GET /link HTTP/1.1\r\nHost: x", 404, "lost", ""},
		{"GET /.hidden HTTP/1.1\r\nHost: x", 404, "lost", ""},
		{"GET /.well-known/x.json HTTP/1.1\r\nHost: x", 200, "{}", "Content-Type: application/json"},
		{"GET /.well-known/../../secret.txt HTTP/1.1\r\nHost: x", 404, "lost", ""},
		{"GET /a%00b HTTP/1.1\r\nHost: x", 400, "400 Bad Request\n", ""},
		{"GET / HTTP/1.1\r\nHost: x\r\nIf-Modified-Since: " + date, 304, "", "Last-Modified: " + date},
		{"GET / HTTP/1.1\r\nHost: x\r\nIf-Modified-Since: Sat, 21 Nov 2026 03:59:59 GMT", 200, "<h1>home</h1>", ""},
		{"GET / HTTP/1.1\r\nHost: x\r\nIf-Modified-Since: nonsense", 200, "<h1>home</h1>", ""},
		{"GET / HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"other\"\r\nIf-Modified-Since: " + date, 200, "<h1>home</h1>", ""},
		{"GET /digits.txt HTTP/1.1\r\nHost: x\r\nRange: bytes=2-4", 206, "234", "Content-Range: bytes 2-4/10"},
		{"GET /digits.txt HTTP/1.1\r\nHost: x\r\nRange: bytes=-3", 206, "789", "Content-Range: bytes 7-9/10"},
		{"GET /digits.txt HTTP/1.1\r\nHost: x\r\nRange: bytes=8-99", 206, "89", "Content-Range: bytes 8-9/10"},
		{"GET /digits.txt HTTP/1.1\r\nHost: x\r\nRange: bytes=10-", 416, "416 Range Not Satisfiable\n", "Content-Range: bytes */10"},
		{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0", 405, "405 Method Not Allowed\n", "Allow: GET, HEAD"},
		{"GET / HTTP/2.0\r\nHost: x", 400, "400 Bad Request\n", "Connection: close"},
		{"nonsense", 400, "400 Bad Request\n", ""},
		{"GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 20_000), 431, "431 Request Header Fields Too Large\n", ""},
	} {
		answer, body := raw(t, address, c.head+"\r\n\r\n")
		key, value, _ := strings.Cut(c.header, ": ")
		if answer.StatusCode != c.status || body != c.body || (key != "" && key != "Connection" && answer.Header.Get(key) != value) {
			t.Errorf("%.80q: %s %q %v, want %d %q %s", c.head, answer.Status, body, answer.Header, c.status, c.body, c.header)
		}
	}
}

func TestTheStaticServerKeepsConnectionsAndServesMany(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 1<<17) // 2 MiB
	address, _ := site(t, map[string]string{"index.html": "home", "large.bin": large})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	defer client.CloseIdleConnections()
	var group sync.WaitGroup
	for range 32 {
		group.Go(func() {
			for i := range 50 {
				path, want := "/", "home"
				if i == 25 {
					path, want = "/large.bin", large
				}
				answer, err := client.Get("http://" + address + path)
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(answer.Body)
				_ = answer.Body.Close()
				if err != nil || string(body) != want {
					t.Errorf("%s: %d bytes, %v", path, len(body), err)
				}
			}
		})
	}
	group.Wait()
}

func TestTheStaticServerEndsItsRequestsOnSIGTERM(t *testing.T) {
	large := strings.Repeat("x", 32<<20)
	address, cmd := site(t, map[string]string{"index.html": "home", "large.bin": large})
	idle, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = idle.Close() }()
	answer, err := http.Get(fmt.Sprintf("http://%s/large.bin", address))
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	if err != nil || n != int64(len(large)) {
		t.Errorf("%d of %d bytes: %v", n, len(large), err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestAStaticRootOutsideTheTreeIsRefused(t *testing.T) {
	_, out := open(t, nil).fail(t, commit(t, map[string]string{"index.html": "x", "static.json": `{"root": "../../etc"}`}), nil)
	contains(t, out, `the root of static.json, "../../etc", is no directory of the tree`)
}
