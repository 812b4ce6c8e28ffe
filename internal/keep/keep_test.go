package keep_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/keep"
	"github.com/slipway-paas/slipway/internal/leaktest"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/secret"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func open(t *testing.T, dir string, twins bool) *keep.Folder {
	t.Helper()
	f, err := keep.Open(slog.New(slog.DiscardHandler), dir, twins)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func put(t *testing.T, f *keep.Folder, name, text string) {
	t.Helper()
	if err := f.Put(name, text); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, f *keep.Folder, name string) (text string, err error) {
	t.Helper()
	err = f.Get(name, &text)
	return text, err
}

func TestAFileIsTheLastThatWasPut(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, true)
	if _, err := get(t, f, "a.json"); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, keep.ErrDamaged) {
		t.Errorf("before the first Put: %v", err)
	}
	put(t, f, "a.json", "one")
	put(t, f, "a.json", "two")
	put(t, f, "b.json", "other")
	f.Close()
	f = open(t, dir, true)
	if text, err := get(t, f, "a.json"); text != "two" || err != nil {
		t.Errorf("it is %q, %v", text, err)
	}
	if names, err := f.List("."); err != nil || !slices.Equal(names, []string{"a", "b"}) {
		t.Errorf("listed are %v, %v", names, err)
	}
	if err := errors.Join(f.Remove("a.json"), f.Remove("a.json")); err != nil {
		t.Errorf("removed twice: %v", err)
	}
	if names, err := f.List("."); err != nil || !slices.Equal(names, []string{"b"}) {
		t.Errorf("listed are %v, %v", names, err)
	}
	if _, err := get(t, f, "a.json"); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, keep.ErrDamaged) {
		t.Errorf("after Remove: %v", err)
	}
}

func TestATwinStandsInForWhatAPowerCutTook(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"emptied": func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600)) },
		"gone":    os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f := open(t, dir, true)
			for n := range 100 { // one call brings all of them to the disk
				put(t, f, fmt.Sprintf("%d.json", n), "one of many")
			}
			put(t, f, "a.json", "settled")
			f.Close()
			if err := damage(f.Path("a.json")); err != nil {
				t.Fatal(err)
			}
			f = open(t, dir, true)
			if text, err := get(t, f, "a.json"); text != "settled" || !errors.Is(err, keep.ErrDamaged) {
				t.Errorf("it is %q, %v", text, err)
			}
			put(t, f, "a.json", "anew")
			if text, err := get(t, f, "a.json"); text != "anew" || err != nil {
				t.Errorf("then it is %q, %v", text, err)
			}
		})
	}
}

func TestASecretGoesToItsPlaceAlone(t *testing.T) {
	ring := secret.New()
	seals := keep.Seals(ring)
	spec := platform.InstanceSpec{ID: "blog-web-1", App: "blog"}
	spec.Spec.Env = map[string]string{"TOKEN": "5ecret"}
	sealed := seals.Instance(spec)
	if len(sealed.Spec.Env) != 1 || strings.Contains(sealed.Spec.Env[""], "5ecret") || spec.Spec.Env["TOKEN"] != "5ecret" {
		t.Errorf("sealed it is %v, the one given %v", sealed.Spec.Env, spec.Spec.Env)
	}
	if opened, stale, err := seals.OpenInstance(sealed); !platform.Same(opened, spec) || stale || err != nil {
		t.Errorf("opened it is %+v, %t, %v", opened, stale, err)
	}
	sealed.App = "shop"
	if opened, _, err := seals.OpenInstance(sealed); err == nil || !keep.Sealed(opened.Spec.Env) {
		t.Errorf("another app opened it: %v, %v", opened.Spec.Env, err)
	}
	sealed.App = "blog"
	if opened, _, err := keep.Seals(nil).OpenInstance(sealed); err == nil || !keep.Sealed(opened.Spec.Env) {
		t.Errorf("it was opened without a key: %v, %v", opened.Spec.Env, err)
	}
	if twice := seals.Instance(sealed); !platform.Same(twice, sealed) {
		t.Errorf("it was sealed twice: %v", twice.Spec.Env)
	}
	if opened, stale, err := seals.OpenInstance(spec); !platform.Same(opened, spec) || !stale || err != nil {
		t.Errorf("one in the clear is %+v, %t, %v", opened, stale, err)
	}
}

func TestWhatCannotBeOpenedIsLeftOutAndTheRestIsNot(t *testing.T) {
	one, other := keep.Seals(secret.New()), keep.Seals(secret.New())
	edge := platform.EdgeState{Domain: "example.com", RegistryPassword: "5ecret", Certificates: []platform.EdgeCertificate{
		{Hosts: []string{"a.example.com"}, Key: "a"}, {Hosts: []string{"b.example.com"}, Key: "b"},
	}}
	mixed := one.Edge(edge)
	mixed.Certificates[1] = other.Edge(edge).Certificates[1]
	opened, _, err := one.OpenEdge(mixed)
	edge.Certificates = edge.Certificates[:1]
	if !platform.Same(opened, edge) || err == nil {
		t.Errorf("opened it is %+v, %v", opened, err)
	}
	if opened, _, err = other.OpenEdge(one.Edge(edge)); opened.RegistryPassword != "" || opened.Domain != "example.com" || err == nil {
		t.Errorf("under another key it is %+v, %v", opened, err)
	}
}
