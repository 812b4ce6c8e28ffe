package node_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/node"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/secret"
)

const hush = "5ecret-of-the-app"

// hushed is a spec with a secret.
func (w *world) hushed() platform.Spec {
	spec := w.spec("one", "exec ./server")
	spec.Env["TOKEN"] = hush
	return spec
}

// revealed lists the files that hold the secret in the clear.
func (w *world) revealed() (paths []string) {
	w.Helper()
	for _, room := range []string{"node", "rt"} {
		err := filepath.WalkDir(w.path(room), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return nil // of what just ended
			}
			if text, err := os.ReadFile(path); err == nil && bytes.Contains(text, []byte(hush)) {
				paths = append(paths, path)
			}
			return nil
		})
		if err != nil {
			w.Fatal(err)
		}
	}
	return paths
}

// serves waits until the app answers.
func (w *world) serves(app string) {
	w.Helper()
	deadline := time.Now().Add(patience)
	for status := 0; status != http.StatusOK; {
		if status, _ = w.get(app, "/"); time.Now().After(deadline) {
			w.Fatal("it does not serve")
		}
	}
}

// settled waits until every file that the node keeps has a twin: then it writes
// nothing any more.
func (w *world) settled() {
	w.Helper()
	twins := func() (missing int) {
		_ = filepath.WalkDir(w.path("node"), func(path string, _ fs.DirEntry, _ error) error {
			if !strings.HasSuffix(path, ".json") {
				return nil
			}
			file, err := os.Stat(path)
			twin, again := os.Stat(path + "~")
			if err != nil || again != nil || !os.SameFile(file, twin) {
				missing++
			}
			return nil
		})
		return missing
	}
	for deadline := time.Now().Add(patience); twins() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("%d files did not get a twin", twins())
		}
	}
}

func TestNoSecretOfAnAppIsOnTheDiskInTheClear(t *testing.T) {
	w := newWorld(t)
	w.node()
	w.deploy("blog", 1, w.hushed(), 1)
	if got := w.inside(w.up("blog", 1, 1)[0].ID, "echo $TOKEN"); got != hush+"\n" {
		t.Fatalf("the app sees %q", got)
	}
	if paths := w.revealed(); len(paths) > 0 {
		t.Errorf("it is in %v", paths)
	}
}

func TestANodeWithoutItsKeyServesOn(t *testing.T) {
	w := newWorld(t)
	w.edge.RegistryUser, w.edge.RegistryPassword = "user", hush
	if _, err := w.fleet.SetEdge(w.edge); err != nil {
		t.Fatal(err)
	}
	first := w.node()
	w.deploy("blog", 1, w.hushed(), 1)
	id := w.mustGet("blog", "/id")
	w.crash()
	first.kill()
	if err := os.Remove(w.path("secret.key")); err != nil {
		t.Fatal(err)
	}
	w.node()
	if again := w.mustGet("blog", "/id"); again != id {
		t.Errorf("%q answers, it was %q", again, id)
	}
	status, err := node.Status(t.Context(), w.path("node/node.sock"))
	if err != nil {
		t.Fatal(err)
	}
	if said := strings.Join(status.Problems, "\n"); !strings.Contains(said, "put that key back") {
		t.Errorf("its problems are %q", said)
	}

	w.killInstances() // and nobody says what environment the next copy has
	for len(status.Instances) != 1 || status.Instances[0].State != platform.InstanceError {
		if status, err = node.Status(t.Context(), w.path("node/node.sock")); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(status.Instances[0].Message, "cannot be opened") {
		t.Errorf("it is said to be %+v", status.Instances[0])
	}
	w.begin()
	up := w.up("blog", 1, 1)
	if got := w.inside(up[0].ID, "echo $TOKEN"); got != hush+"\n" {
		t.Errorf("the app sees %q", got)
	}
	w.acked(w.version("blog"))
	if problems := w.fleet.Nodes()[0].Problems; len(problems) > 0 {
		t.Errorf("its problems are still %q", problems)
	}
	if paths := w.revealed(); len(paths) > 0 {
		t.Errorf("the secret is in %v", paths)
	}
}

func TestTheStateOfAnEarlierVersionIsTakenOverAndSealed(t *testing.T) {
	w := newWorld(t)
	first := w.node()
	w.deploy("blog", 1, w.hushed(), 1)
	specs, _ := w.fleet.Wanted("blog")
	former, err := json.Marshal(map[string]any{
		"format": 1, "epoch": "of another life", "version": 7, "edge": w.edge,
		"apps": map[string]any{"blog": platform.AppState{App: "blog", Instances: specs, Route: w.fleet.Route("blog")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.crash()
	first.kill()
	w.killInstances()
	for _, name := range []string{"state.json", "state.json~", "edge.json", "edge.json~", "apps"} {
		if err := os.RemoveAll(w.path("node/" + name)); err != nil {
			t.Fatal(err)
		}
	}
	// What a power cut leaves: the newest is empty.
	for name, text := range map[string][]byte{"state.json": nil, "settled.json": former} {
		if err := os.WriteFile(w.path("node/"+name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.node()
	w.serves("blog")
	if paths := w.revealed(); len(paths) > 0 {
		t.Errorf("the secret is still in %v", paths)
	}
	w.begin()
}

func TestAFileThatAPowerCutEmptiedIsReadFromItsTwin(t *testing.T) {
	w := newWorld(t)
	first := w.node()
	w.deploy("blog", 1, w.hushed(), 1)
	w.settled()
	first.kill()
	w.crash()
	w.killInstances()
	if err := os.Remove(w.path("node/apps/blog.json")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.path("node/apps/blog.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.node()
	w.serves("blog")
	w.begin()
	w.acked(w.version("blog"))
}

func TestAKeyThatIsRotatedAwayIsSoonNeededNoMore(t *testing.T) {
	w := newWorld(t)
	w.node()
	w.deploy("blog", 1, w.hushed(), 1)
	id := w.up("blog", 1, 1)[0].ID
	ring, err := secret.OpenFile(w.path("secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	older := ring.Newest()
	if _, err := ring.Rotate(); err != nil {
		t.Fatal(err)
	}
	w.crash() // the node looks at its keys between two talks
	under := func(key string) bool {
		for _, name := range []string{"node/apps/blog.json", "rt/instances/" + id + "/record.json"} {
			if text, err := os.ReadFile(w.path(name)); err != nil || !strings.Contains(string(text), "sealed:1:"+key) {
				return false
			}
		}
		return true
	}
	for deadline := time.Now().Add(patience); !under(ring.Newest()); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it is not sealed under %s; under %s: %t", ring.Newest(), older, under(older))
		}
	}
	w.begin()
}
