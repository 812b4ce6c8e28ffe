package node_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/cert"
	"github.com/slipway-paas/slipway/internal/platform"
)

// shows are certificates whose names the edge shows, one by the proof that it has
// of each.
func (w *world) shows(names ...string) map[string]*platform.EdgeCertificate {
	all := make(map[string]*platform.EdgeCertificate)
	for _, name := range names {
		upload, err := cert.SelfSigned(w.TempDir(), name+".example")
		if err != nil {
			w.Fatal(err)
		}
		upload.Key = hush + "\n" + upload.Key // which PEM may begin with
		all["upload/"+name] = &upload
		all["proof/"+name] = &platform.EdgeCertificate{
			Hosts: []string{"blog.localhost"}, Challenge: &platform.EdgeChallenge{Token: name, Answer: "answer of " + name},
		}
	}
	return all
}

func (w *world) certify(all map[string]*platform.EdgeCertificate) {
	w.Helper()
	version, err := w.fleet.SetCertificates(all)
	if err != nil {
		w.Fatal(err)
	}
	w.acked(version)
}

func (w *world) proves(want map[string]bool) {
	w.Helper()
	for name, shown := range want {
		deadline := time.Now().Add(patience)
		for {
			status, body := w.get("blog", "/.well-known/acme-challenge/"+name)
			if shown == (status == http.StatusOK && body == "answer of "+name) {
				break
			}
			if time.Now().After(deadline) {
				w.Fatalf("%s is answered with %d %s", name, status, body)
			}
		}
	}
}

func TestANodeKeepsItsCertificatesSealedAndCatchesUpWhenItWasAway(t *testing.T) {
	w := newWorld(t)
	first := w.node()
	w.certify(w.shows("one", "two", "three"))
	w.proves(map[string]bool{"one": true, "two": true, "three": true, "four": false})
	files := func() int {
		entries, err := os.ReadDir(w.path("node/certificates"))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, entry := range entries {
			if strings.HasSuffix(entry.Name(), ".json") {
				n++
			}
		}
		return n
	}
	if n := files(); n != 6 {
		t.Errorf("%d files are kept of 6", n)
	}
	if paths := w.revealed(); len(paths) > 0 {
		t.Errorf("a key is in %v", paths)
	}

	w.crash() // and the node starts without it
	first.kill()
	second := w.node()
	w.proves(map[string]bool{"one": true, "two": true, "three": true})

	second.kill()
	w.begin()
	if _, err := w.fleet.SetCertificates(map[string]*platform.EdgeCertificate{"upload/two": nil, "proof/two": nil}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.fleet.SetCertificates(w.shows("four")); err != nil {
		t.Fatal(err)
	}
	w.node()
	w.proves(map[string]bool{"one": true, "two": false, "three": true, "four": true})
	if n := files(); n != 6 {
		t.Errorf("%d files are kept of 6", n)
	}
	if paths := w.revealed(); len(paths) > 0 {
		t.Errorf("a key is in %v", paths)
	}
}
