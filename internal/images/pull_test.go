package images_test

import (
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/slipway-paas/slipway/internal/images"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/registry"
)

func asAny(err error, targets ...any) bool {
	return slices.ContainsFunc(targets, func(target any) bool { return errors.As(err, target) })
}

func TestAnImageIsCopiedPinnedAndRead(t *testing.T) {
	p := open(t)
	mirror := serve(t, elsewhere())
	p.mirrors(mirror)
	image := makeImage(t, 3, func(c *v1.ConfigFile) {
		c.Config = v1.Config{
			Entrypoint: []string{"/server"}, Cmd: []string{"--listen"}, User: "1000:1000", WorkingDir: "/srv", StopSignal: "SIGQUIT",
			ExposedPorts: map[string]struct{}{"9000/tcp": {}, "80": {}, "53/udp": {}, "nonsense": {}, "443/TCP": {}},
			Labels:       map[string]string{"a": "b"},
		}
	})
	put(t, mirror, "library/shop:1", image)
	want := platform.Image{
		Ref: "blog@" + digestOf(t, image), Entrypoint: []string{"/server"}, Cmd: []string{"--listen"}, User: "1000:1000", WorkingDir: "/srv",
		StopSignal: "SIGQUIT", Ports: []int{80, 443, 9000}, Layers: 3, OS: "linux", Architecture: runtime.GOARCH,
	}
	for _, ref := range []string{"shop:1", "docker.io/shop:1", "library/shop@" + digestOf(t, image), "shop:other@" + digestOf(t, image)} {
		got, err := p.pull(ref)
		if err != nil {
			t.Fatalf("%s: %v", ref, err)
		}
		if got.Size < 3*64<<10 || got.Labels["a"] != "b" {
			t.Errorf("%s is %+v", ref, got)
		}
		got.Size, got.Labels = 0, nil
		if !same(t, got, want) {
			t.Errorf("%s is %+v", ref, got)
		}
		p.has(got.Ref)
	}
	if story := p.story.String(); !strings.Contains(story, "Pulling shop:1 from "+mirror) || !strings.Contains(story, "Pulled shop:1: sha256:") {
		t.Errorf("the story is %q", story)
	}
}

func same(t *testing.T, a, b platform.Image) bool {
	t.Helper()
	return string(jsonOf(t, a)) == string(jsonOf(t, b))
}

func TestOfAnIndexTheImageForThisMachineIsTaken(t *testing.T) {
	p := open(t)
	mirror := serve(t, elsewhere())
	p.mirrors(mirror)
	p.options.Architecture = "arm64"
	wanted := makeImage(t, 1, func(c *v1.ConfigFile) { c.Architecture, c.Variant = "arm64", "v8" })
	index := func(of ...mutate.IndexAddendum) v1.ImageIndex {
		return mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.DockerManifestList), of...)
	}
	of := func(image mutate.Appendable, system *v1.Platform) mutate.IndexAddendum {
		return mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: system}}
	}
	other := makeImage(t, 1)
	put(t, mirror, "library/shop:1", index(
		of(other, &v1.Platform{OS: "unknown", Architecture: "unknown"}), of(other, &v1.Platform{OS: "linux", Architecture: "amd64"}),
		of(other, &v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v9"}),
		of(other, &v1.Platform{OS: "windows", Architecture: "arm64"}), of(wanted, &v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"})))
	put(t, mirror, "library/shop:nested", mutate.AppendManifests(empty.Index, of(index(of(wanted, nil)), nil)))
	put(t, mirror, "library/shop:deep", index(of(index(of(index(of(index(of(wanted, nil)), nil)), nil)), nil)))
	put(t, mirror, "library/shop:none", index(of(other, &v1.Platform{OS: "linux", Architecture: "amd64"}), of(other, &v1.Platform{OS: "linux", Architecture: "s390x"})))
	put(t, mirror, "library/shop:lie", index(of(other, &v1.Platform{OS: "linux", Architecture: "arm64"})))
	for _, tag := range []string{"1", "nested"} {
		if image, err := p.pull("shop:" + tag); err != nil || image.Ref != "blog@"+digestOf(t, wanted) {
			t.Errorf("%s: %+v, %v", tag, image, err)
		}
	}
	p = open(t).mirrors(mirror)
	p.options.Architecture = "arm64"
	p.refuses("shop:deep", "image shop:deep is an index of indexes of indexes")
	p.refuses("shop:none", "image shop:none is not for linux/arm64, which this platform's machines are, but for linux/amd64, linux/s390x")
	p.refuses("shop:lie", "is not for linux/arm64")
}

func TestMirrorsAreAskedFirstAndWhatTheyLackElsewhere(t *testing.T) {
	p := open(t)
	first, second := serve(t, elsewhere()), serve(t, elsewhere())
	p.mirrors("127.0.0.1:1", first, second)
	image, other := makeImage(t, 1), makeImage(t, 1)
	put(t, first, "library/shop:1", image)
	put(t, second, "library/shop:1", other)
	put(t, second, "ann/shop:2", other)
	if got, err := p.pull("shop:1"); err != nil || got.Ref != "blog@"+digestOf(t, image) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := p.pull("ann/shop:2"); err != nil || got.Ref != "blog@"+digestOf(t, other) {
		t.Errorf("got %+v, %v", got, err)
	}
	p = open(t).mirrors(first, second)
	p.refuses("ann/shop:3", "image ann/shop:3 not found")
	_, err := p.pull("ann/shop")
	if err == nil || err.Error() != "image ann/shop:latest not found" {
		t.Errorf("got %v", err)
	}
	p = open(t).mirrors(first, "127.0.0.1:1")
	p.refuses("ann/shop:3", "image ann/shop:3 not found at "+first+", and 127.0.0.1:1 cannot be reached")
	p = open(t).mirrors("127.0.0.1:1")
	p.refuses("ann/shop:3", "image ann/shop:3 cannot be had: 127.0.0.1:1 cannot be reached")
}

func TestAMirrorMayKeepTheOthersRepositoriesUnderAPath(t *testing.T) {
	p := open(t)
	mirror := serve(t, elsewhere())
	image := makeImage(t, 1)
	put(t, mirror, "hub/cache/library/shop:1", image)
	var err error
	if p.options.Hosts, err = images.ParseHosts([]string{"docker.io=http://" + mirror + "/hub/cache", "docker.io=only"}, nil, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := p.pull("shop:1"); err != nil {
		t.Error(err)
	}
}

func TestARegistryIsTrustedAsTheOperatorSays(t *testing.T) {
	image := makeImage(t, 1)
	handler := elsewhere()
	server := httptest.NewTLSServer(handler)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	t.Cleanup(server.Close)
	plain := serve(t, handler)
	put(t, plain, "shop:1", image)
	encrypted := hostOf(t, server)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		host          string
		insecure, cas []string
		says          string // empty: it is pulled
	}{
		"unknown authority": {host: encrypted, says: "certificate"},
		"its authority":     {host: encrypted, cas: []string{encrypted + "=" + ca}},
		"nobody looks":      {host: encrypted, insecure: []string{encrypted}},
		"plain":             {host: plain, says: "speaks no HTTPS; the operator can allow that"},
		"plain, allowed":    {host: plain, insecure: []string{plain}},
		"another allowed":   {host: plain, insecure: []string{encrypted}, says: "speaks no HTTPS; the operator can allow that"},
	} {
		p := open(t)
		var err error
		if p.options.Hosts, err = images.ParseHosts(nil, c.insecure, c.cas); err != nil {
			t.Fatal(err)
		}
		if c.says != "" {
			p.refuses(c.host+"/shop:1", c.says)
			continue
		}
		if image, err := p.pull(c.host + "/shop:1"); err != nil {
			t.Errorf("%s: %+v, %v", name, image, err)
		}
	}
}

func TestWhatSkopeoPushedIsPulled(t *testing.T) {
	skopeo, err := exec.LookPath("skopeo")
	if err != nil {
		t.Skip("skopeo is not installed")
	}
	p := open(t)
	// A second registry of the same make, as a mirror with credentials.
	handler, err := registry.New(slog.New(slog.DiscardHandler), registry.Options{Dir: t.TempDir(), User: "ann", Password: secret})
	if err != nil {
		t.Fatal(err)
	}
	mirror, from := serve(t, handler), serve(t, elsewhere())
	p.mirrors(mirror)
	put(t, from, "shop:1", makeImage(t, 2))
	for format, kind := range map[string]string{"oci": "vnd.oci.image.manifest", "v2s2": "vnd.docker.distribution.manifest.v2"} {
		out, err := exec.CommandContext(t.Context(), skopeo, "copy", "--quiet", "--insecure-policy", "--format", format, "--src-tls-verify=false", "--dest-tls-verify=false",
			"--dest-creds", "ann:"+secret, "docker://"+from+"/shop:1", "docker://"+mirror+"/library/shop:"+format).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		image, err := p.pull("shop:"+format, images.Credentials{Username: "ann", Password: secret, Hostname: mirror})
		if err != nil {
			t.Fatal(err)
		}
		if media, err := p.has(image.Ref).MediaType(); err != nil || !strings.Contains(string(media), kind) {
			t.Errorf("%s became %s, %v", format, media, err)
		}
	}
}

func TestAnImageOfThePlatformIsGivenToAnotherAppWithoutACopy(t *testing.T) {
	p := open(t)
	mirror := serve(t, elsewhere())
	p.mirrors(mirror)
	put(t, mirror, "library/shop:1", makeImage(t, 2))
	image, err := p.pull("shop:1")
	if err != nil {
		t.Fatal(err)
	}
	puller, err := images.New(p.options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(puller.Close)
	digest := strings.TrimPrefix(image.Ref, "blog@")
	got, err := puller.Own(t.Context(), "blog", digest, "stage")
	if err != nil || got.Ref != "stage@"+digest || got.Layers != 2 {
		t.Fatalf("got %+v, %v", got, err)
	}
	p.has(got.Ref)
	if got, err := puller.Own(t.Context(), "blog", digest, "blog"); err != nil || got.Ref != image.Ref {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, which := range []string{"v9", "sha256:" + strings.Repeat("0", 64)} {
		if _, err := puller.Own(t.Context(), "blog", which, "stage"); !errors.Is(err, platform.ErrNotFound) {
			t.Errorf("%s: %v", which, err)
		}
	}
	p.options.Password = "wrong"
	other, err := images.New(p.options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	if _, err := other.Own(t.Context(), "blog", digest, "stage"); !errors.Is(err, platform.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestWhenThePlatformsRegistryFailsItIsNotTheUsersFault(t *testing.T) {
	p := open(t)
	mirror := serve(t, elsewhere())
	p.mirrors(mirror)
	put(t, mirror, "library/shop:1", makeImage(t, 1))
	p.options.Registry = serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	if _, err := p.pull("shop:1"); !errors.Is(err, platform.ErrUnavailable) || !strings.Contains(err.Error(), "answered 500") {
		t.Errorf("got %v", err)
	}
	p.options.Registry = "unix:" + filepath.Join(t.TempDir(), "nobody.sock")
	if _, err := p.pull("shop:1"); !errors.Is(err, platform.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestAnAppWhoseQuotaIsFullIsToldSo(t *testing.T) {
	p := open(t)
	mirror := serve(t, elsewhere())
	p.mirrors(mirror)
	put(t, mirror, "library/shop:1", makeImage(t, 1))
	own := elsewhere()
	p.options.Registry = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch || r.Method == http.MethodPut {
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{"errors":[{"code":"DENIED","message":"the images of app blog hold 10 MiB of the 10 MiB they may"}]}`))
			return
		}
		own.ServeHTTP(w, r)
	}))
	p.refuses("shop:1", "image shop:1 cannot be kept: the images of app blog hold 10 MiB of the 10 MiB they may")
}
