package fleet_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-paas/slipway/internal/fleet"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/secret"
)

var secretEdge = platform.EdgeState{
	Domain: "example.com", RegistryPassword: "pass-5ecret", Tickets: []platform.TicketKey{{Key: "ticket-5ecret"}},
}

var secretCertificate = platform.EdgeCertificate{Name: "own", Hosts: []string{"example.com"}, Certificate: "chain", Key: "key-5ecret"}

func setSecrets(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	spec := platform.InstanceSpec{ID: "blog-web-1", App: "blog", Process: "web", Release: 1}
	spec.Spec.Env = map[string]string{"TOKEN_5ecret": "env-5ecret"}
	_, err := f.SetInstances("blog", []platform.InstanceSpec{spec})
	if err == nil {
		_, err = f.SetRoute("blog", &platform.Route{App: "blog", Hosts: []string{"blog.example.com"}})
	}
	if err == nil {
		_, err = f.SetEdge(secretEdge)
	}
	if err == nil {
		_, err = f.SetCertificates(map[string]*platform.EdgeCertificate{"own": &secretCertificate})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// secretsIn lists the files that hold one in the clear.
func secretsIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	for _, pattern := range []string{"*", "*/*"} {
		paths, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, path := range paths {
			if text, err := os.ReadFile(path); err == nil && bytes.Contains(text, []byte("5ecret")) {
				names = append(names, filepath.Base(path))
			}
		}
	}
	slices.Sort(names)
	return names
}

func TestSecretsAreSealedOnTheDiskAndOpenToTheNodes(t *testing.T) {
	dir, ring := t.TempDir(), secret.New()
	f := openSealed(t, dir, ring)
	setSecrets(t, f)
	f.Close()
	if names := secretsIn(t, dir); len(names) > 0 {
		t.Errorf("secrets are in %v", names)
	}
	f = openSealed(t, dir, ring)
	defer f.Close()
	n := &node{desk: &desk{T: t, Fleet: f, handler: f.Handler()}, id: "one"}
	got := n.news()
	if got == nil || got.Apps[0].Instances[0].Spec.Env["TOKEN_5ecret"] != "env-5ecret" || !platform.Same(*got.Edge, secretEdge) ||
		len(got.Certificates) != 1 || !platform.Same(got.Certificates[0], secretCertificate) {
		t.Errorf("a node hears %+v", got)
	}
}

func TestFilesOfAnEarlierVersionAreSealedWhenTheyAreRead(t *testing.T) {
	dir := t.TempDir()
	f := openSealed(t, dir, nil)
	setSecrets(t, f)
	f.Close()
	if names := secretsIn(t, dir); len(names) != 3 {
		t.Fatalf("secrets were in %v; the test proves nothing", names)
	}
	f = openSealed(t, dir, secret.New())
	specs, _ := f.Wanted("blog")
	f.Close()
	if len(specs) != 1 || specs[0].Spec.Env["TOKEN_5ecret"] != "env-5ecret" {
		t.Errorf("wanted are %+v", specs)
	}
	if names := secretsIn(t, dir); len(names) > 0 {
		t.Errorf("secrets are still in %v", names)
	}
}

func TestFilesUnderAnOlderKeyAreSealedUnderTheNewest(t *testing.T) {
	dir, keys := t.TempDir(), filepath.Join(t.TempDir(), "keys")
	ring, err := secret.OpenFile(keys)
	if err != nil {
		t.Fatal(err)
	}
	f := openSealed(t, dir, ring)
	setSecrets(t, f)
	f.Close()
	newest, err := ring.Rotate()
	if err != nil {
		t.Fatal(err)
	}
	openSealed(t, dir, ring).Close()
	for _, name := range []string{"edge.json", "apps/blog.json"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(text), newest) || strings.Contains(string(text), ring.KeyIDs()[1]) {
			t.Errorf("%s is %s, %v", name, text, err)
		}
	}
}

func TestAFleetWithoutItsKeyLetsNodesGoOnAndNamesTheCure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, ring := t.TempDir(), secret.New()
		f := openSealed(t, dir, ring)
		setSecrets(t, f)
		n := &node{desk: &desk{T: t, Fleet: f, handler: f.Handler()}, id: "one"}
		n.news()
		f.Close()

		f = openSealed(t, dir, secret.New())
		defer f.Close()
		n.desk = &desk{T: t, Fleet: f, handler: f.Handler()}
		if got := n.news(); got != nil {
			t.Errorf("at once it heard %v", apps(got))
		}
		if said := strings.Join(f.Problems(), "\n"); !strings.Contains(said, "put that key back") || !strings.Contains(said, ring.Newest()) {
			t.Errorf("its problems are %q", said)
		}
		f.Settled() // as far as the controller can tell
		if got := n.news(); got == nil || !got.Full || len(got.Apps) > 0 || !slices.Equal(got.Kept, []string{"blog"}) {
			t.Errorf("when all was said it heard %+v", got)
		}
		setSecrets(t, f)
		if got := n.news(); got == nil || got.Full || len(got.Apps) != 1 {
			t.Errorf("when the app was said it heard %+v", got)
		}
	})
}

func TestANodeThatForgotEverythingIsToldWhenAllWasSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := openSealed(t, t.TempDir(), nil)
		defer f.Close()
		setSecrets(t, f)
		n := &node{desk: &desk{T: t, Fleet: f, handler: f.Handler()}, id: "one"}
		n.report(platform.NodeReport{Full: true, Instances: []platform.Instance{{ID: "shop-web-1", App: "shop", State: platform.InstanceUp}}})
		if got := n.news(); got != nil {
			t.Errorf("it heard %v, and would stop what runs", apps(got))
		}
		time.Sleep(20 * time.Second)
		f.Remove("blog") // the controller is still at it
		time.Sleep(20 * time.Second)
		if got := n.news(); got != nil {
			t.Errorf("after 20 s without a word it heard %v", apps(got))
		}
		time.Sleep(20 * time.Second)
		if got := n.news(); got == nil || !got.Full {
			t.Errorf("after 30 s without a word it heard %v", apps(got))
		}
	})
}

func TestAKeyThatIsRotatedAwayIsSoonNeededNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, keys := t.TempDir(), filepath.Join(t.TempDir(), "keys")
		ring, err := secret.OpenFile(keys)
		if err != nil {
			t.Fatal(err)
		}
		f := openSealed(t, dir, ring)
		defer f.Close()
		setSecrets(t, f)
		older := ring.Newest()
		if _, err := ring.Rotate(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(61 * time.Second)
		synctest.Wait()
		for _, name := range []string{"edge.json", "apps/blog.json"} {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil || !strings.Contains(string(text), ring.Newest()) || strings.Contains(string(text), older) {
				t.Errorf("%s is %s, %v", name, text, err)
			}
		}
	})
}
