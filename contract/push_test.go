package contract_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// deployed makes an app and pushes something to it: release v2 serves.
func (u *user) deployed(t *testing.T) string {
	t.Helper()
	id := u.app(t)
	u.push(t, id, "web: python3 -u server.py\nworker: sleep 1000\n")
	return id
}

// push commits a tree with this Procfile and pushes it over HTTP with git.
func (u *user) push(t *testing.T, id, procfile string) {
	t.Helper()
	dir := t.TempDir()
	must(t, os.CopyFS(dir, os.DirFS("../examples/hello-procfile")))
	must(t, os.WriteFile(filepath.Join(dir, "Procfile"), []byte(procfile), 0o600))
	remote := fmt.Sprintf("http://%s:%s@git.localhost:%d/%s.git", u.name, u.token, u.p.edge, id)
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"}, {"add", "."}, {"commit", "-q", "-m", "one"}, {"push", "-q", "--force", remote, "main"},
	} {
		git := exec.Command("git", args...)
		git.Dir = dir
		git.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "HOME="+dir,
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b.c", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b.c")
		if said, err := git.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args[0], err, said)
		}
	}
}

// sha is what a build made by push has.
const sha = `~^[0-9a-f]{8}$`

// reaches asks the edge for an app and wants the status. What the API has
// answered for is live at the edge by then.
func (p *platform) reaches(t *testing.T, app string, want int) *http.Response {
	t.Helper()
	host := app
	if !strings.Contains(host, ".") {
		host += "." + p.domain
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", p.edge), nil)
	must(t, err)
	r.Host = host
	resp, err := web.Do(r)
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != want {
		t.Errorf("%s answered %d, want %d: %.200s", host, resp.StatusCode, want, text)
	}
	return resp
}

// says is what an app answers to a path.
func (p *platform) says(t *testing.T, app, path string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", p.edge, path), nil)
	must(t, err)
	r.Host = app + "." + p.domain
	resp, err := web.Do(r)
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	return string(text)
}
