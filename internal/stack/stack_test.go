package stack_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/registry"
	"github.com/slipway-paas/slipway/internal/stack"
	"github.com/slipway-paas/slipway/internal/stacktest"
)

const password = "0123456789abcdef0123456789abcdef"

// place is a registry and who makes stacks for it.
type place struct {
	*stack.Stacks
	t    *testing.T
	dir  string
	host string
}

func open(t *testing.T) *place {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	handler, err := registry.New(log, registry.Options{Dir: filepath.Join(t.TempDir(), "registry"), User: "slipway", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	p := &place{t: t, dir: filepath.Join(t.TempDir(), "stacks"), host: strings.TrimPrefix(server.URL, "http://")}
	p.Stacks, err = stack.New(log, stack.Options{Dir: p.dir, RegistryAddr: p.host, RegistryUser: "slipway", RegistryPassword: password})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var credential = remote.WithAuth(&authn.Basic{Username: "slipway", Password: password})

func (p *place) ref(image string) name.Reference {
	p.t.Helper()
	ref, err := name.ParseReference(p.host+"/"+image, name.Insecure)
	if err != nil {
		p.t.Fatal(err)
	}
	return ref
}

func (p *place) push(repository string, image v1.Image) string {
	p.t.Helper()
	digest, err := image.Digest()
	if err != nil {
		p.t.Fatal(err)
	}
	ref := repository + "@" + digest.String()
	if err := remote.Write(p.ref(ref), image, credential); err != nil {
		p.t.Fatal(err)
	}
	return ref
}

func (p *place) pull(ref string) v1.Image {
	p.t.Helper()
	image, err := remote.Image(p.ref(ref), credential)
	if err != nil {
		p.t.Fatal(err)
	}
	return image
}

// entry is a file, or with a link a symbolic one.
type entry struct{ name, link, text string }

func layer(t *testing.T, entries ...entry) v1.Layer {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		header := &tar.Header{Name: e.name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(e.text))}
		if e.link != "" {
			header.Typeflag, header.Linkname = tar.TypeSymlink, e.link
		}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	made, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func imageOf(t *testing.T, architecture string, layers ...v1.Layer) v1.Image {
	t.Helper()
	image, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", architecture
	if image, err = mutate.ConfigFile(image, file); err != nil {
		t.Fatal(err)
	}
	return image
}

var system = []entry{
	{name: "bin", link: "usr/bin"},
	{name: "lib64", link: "usr/lib64"},
	{name: "usr/bin/bash"},
	{name: "usr/lib64/ld-linux-x86-64.so.2", link: "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"},
	{name: "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"},
	{name: "etc/passwd"},
	{name: "etc/group"},
	{name: "usr/lib/os-release", text: "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\x1b[31m\"\n"},
}

func without(name string) []entry {
	return slices.DeleteFunc(slices.Clone(system), func(e entry) bool { return e.name == name })
}

func TestOnlyWhatSlugsRunOnCanBeAStack(t *testing.T) {
	p := open(t)
	good := imageOf(t, "amd64", layer(t, system...))
	facts, err := p.Check(t.Context(), p.push("stack", good))
	if err != nil || facts.System != "Debian GNU/Linux 12 (bookworm)[31m" || facts.Size == 0 || !strings.HasPrefix(facts.Image, "stack@sha256:") {
		t.Fatalf("%+v, %v", facts, err)
	}
	if err := remote.Tag(p.ref("os/debian:12").(name.Tag), good, credential); err == nil {
		t.Fatal("a tag was put before the image")
	}
	for problem, image := range map[string]v1.Image{
		"no /bin/bash":       imageOf(t, "amd64", layer(t, without("usr/bin/bash")...)),
		"/etc/passwd":        imageOf(t, "amd64", layer(t, without("etc/group")...)),
		"no GNU C library":   imageOf(t, "amd64", layer(t, without("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")...)),
		"musl":               imageOf(t, "amd64", layer(t, append(without("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"), entry{name: "lib/ld-musl-x86_64.so.1"})...)),
		"arm64":              imageOf(t, "arm64", layer(t, system...)),
		"no /bin/bash, hid":  imageOf(t, "amd64", layer(t, system...), layer(t, entry{name: "usr/bin/.wh.bash"})),
		"no /bin/bash, loop": imageOf(t, "amd64", layer(t, append(without("usr/bin/bash"), entry{name: "usr/bin/bash", link: "bash"})...)),
	} {
		want, _, _ := strings.Cut(problem, ", ")
		if _, err := p.Check(t.Context(), p.push("stack", image)); !errors.Is(err, platform.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", problem, err)
		}
	}
	if _, err := p.Check(t.Context(), "stack@sha256:"+strings.Repeat("0", 64)); !errors.Is(err, platform.ErrNotFound) {
		t.Errorf("an image that is not there: %v", err)
	}
}

func TestDebiansSmallestCanBeAStack(t *testing.T) {
	p := open(t)
	facts, err := p.Check(t.Context(), p.push("stack", stacktest.Image(t)))
	if err != nil || facts.System != "Debian GNU/Linux 12 (bookworm)" {
		t.Errorf("%+v, %v", facts, err)
	}
}

func TestASlugIsPutOnAnotherStackWithoutAByteOfItChanging(t *testing.T) {
	p := open(t)
	old := p.push("stack", imageOf(t, "amd64", layer(t, system...)))
	fresh := p.push("stack", imageOf(t, "amd64", layer(t, system...), layer(t, entry{name: "etc/fresh", text: "x"})))
	bare, err := stack.Compose(nil, stack.Slug{
		App: "blog", Processes: map[string]string{"web": "./serve"},
		Layers: []v1.Layer{layer(t, entry{name: "app/serve"}), layer(t, entry{name: "app/more"})},
	})
	if err != nil {
		t.Fatal(err)
	}
	from := p.push("blog", bare)
	rebase := func(ref, below string) stack.Rebased {
		t.Helper()
		made, err := p.Rebase(t.Context(), ref, below)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	onOld := rebase(from, old)
	onFresh := rebase(onOld.Image, fresh)
	if again := rebase(from, fresh); again != onFresh {
		t.Errorf("from no stack it is %v, from another %v", again, onFresh)
	}
	if back := rebase(onFresh.Image, ""); back.Image != from || back.Stack != "" {
		t.Errorf("bare again it is %v, and was %s", back, from)
	}
	config, err := p.pull(onFresh.Image).ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	labels := config.Config.Labels
	if len(config.RootFS.DiffIDs) != 4 || labels[platform.LabelStack] != fresh || labels[platform.LabelSlug] != "2" || onFresh.Stack != fresh {
		t.Errorf("%v with %v", config.RootFS.DiffIDs, labels)
	}
}

func TestOnlySlugsAreRebased(t *testing.T) {
	p := open(t)
	below := p.push("stack", imageOf(t, "amd64", layer(t, system...)))
	for _, labels := range []map[string]string{nil, {platform.LabelSlug: "0", stack.LabelProcesses: "{}"}, {platform.LabelSlug: "3", stack.LabelProcesses: "{}"}, {platform.LabelSlug: "1"}} {
		image := imageOf(t, "amd64", layer(t, entry{name: "app/x"}))
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		config = config.DeepCopy()
		config.Config.Labels = labels
		if image, err = mutate.ConfigFile(image, config); err != nil {
			t.Fatal(err)
		}
		if made, err := p.Rebase(t.Context(), p.push("blog", image), below); !errors.Is(err, platform.ErrInvalid) {
			t.Errorf("%v: %v, %v", labels, made, err)
		}
	}
	arm := p.push("stack", imageOf(t, "arm64", layer(t, system...)))
	slug, err := stack.Compose(nil, stack.Slug{App: "blog", Layers: []v1.Layer{layer(t, entry{name: "app/x"})}})
	if err != nil {
		t.Fatal(err)
	}
	if made, err := p.Rebase(t.Context(), p.push("blog", slug), arm); !errors.Is(err, platform.ErrInvalid) {
		t.Errorf("on another machine's stack: %v, %v", made, err)
	}
}

func TestAStackIsMadeOfPackagesAndNothingIsLeft(t *testing.T) {
	needsRoot(t)
	p := open(t)
	var out lines
	made, err := p.Build(t.Context(), platform.StackRecipe{Name: "small", Suite: stacktest.Suite, Packages: []string{"bc"}}, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if made.Name != "small" || made.Source != "debian bookworm" || !strings.Contains(made.System, "bookworm") || made.Size < 10<<20 {
		t.Errorf("%+v", made)
	}
	p.clean()
	files := map[string]*tar.Header{}
	passwd := ""
	content := mutate.Extract(p.pull("stack:small"))
	defer content.Close()
	for archive := tar.NewReader(content); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = header
		if header.Mode&0o6000 != 0 {
			t.Errorf("%s is setuid or setgid: %o", header.Name, header.Mode)
		}
		if header.ModTime.After(time.Now().Add(-24 * time.Hour)) {
			t.Errorf("%s bears the time of the making: %s", header.Name, header.ModTime)
		}
		if header.Name == "etc/passwd" {
			text, _ := io.ReadAll(archive)
			passwd = string(text)
		}
	}
	for _, there := range []string{"usr/bin/bc", "etc/ssl/certs/ca-certificates.crt", "usr/share/zoneinfo/UTC", "var/lib/dpkg/status", "tmp", "proc"} {
		if files[there] == nil {
			t.Errorf("%s is not there", there)
		}
	}
	for _, gone := range []string{"usr/sbin/policy-rc.d", "etc/resolv.conf", "var/cache/apt/pkgcache.bin", "dev/null", p.dir[1:]} {
		if files[gone] != nil {
			t.Errorf("%s is there", gone)
		}
	}
	if !strings.Contains(passwd, "app:x:1000:1000:") || files["tmp"].Mode != 0o1777 || files["app"].Uid != 1000 {
		t.Errorf("the app's user is not there, or cannot write: %q", passwd)
	}
}

func TestAStackThatCannotBeMadeLeavesNothing(t *testing.T) {
	needsRoot(t)
	p := open(t)
	var out lines
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out.on = func(line string) {
		if strings.Contains(line, "Checking Release") { // debootstrap runs
			cancel()
		}
	}
	if _, err := p.Build(ctx, platform.StackRecipe{Suite: stacktest.Suite}, &out); !errors.Is(err, context.Canceled) {
		t.Errorf("ended half way: %v\n%s", err, &out)
	}
	p.clean()
	out.on = nil
	_, err := p.Build(t.Context(), platform.StackRecipe{Suite: stacktest.Suite, Mirror: "http://127.0.0.1:1/debian"}, &out)
	var user *platform.UserError
	if !errors.As(err, &user) || user.Cure == "" {
		t.Errorf("without a mirror: %v", err)
	}
	p.clean()
}

func TestARecipesWordsAreBounded(t *testing.T) {
	p := open(t)
	for _, recipe := range []platform.StackRecipe{
		{Name: "-x"},
		{Name: "none"},
		{Name: "A"},
		{Suite: "../x"},
		{Suite: "--help"},
		{Suite: "a b"},
		{Packages: []string{"--reinstall"}},
		{Packages: []string{"a b"}},
		{Packages: []string{"/etc/x.deb"}},
		{Packages: []string{"$(x)"}},
		{Packages: []string{""}},
		{Mirror: "file:///etc"},
		{Mirror: "http://u:p@x/"},
		{Mirror: "http://x/ y"},
		{Mirror: "--x"},
		{Packages: make([]string, 501)},
	} {
		if _, err := p.Build(t.Context(), recipe, io.Discard); !errors.Is(err, platform.ErrInvalid) {
			t.Errorf("%+v: %v", recipe, err)
		}
	}
}

func needsRoot(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("making a stack takes most of a minute")
	}
	if os.Geteuid() != 0 {
		t.Skip("making a stack needs root")
	}
	if _, err := exec.LookPath("debootstrap"); err != nil {
		t.Skip("debootstrap is not installed: scripts/deps --all installs it")
	}
}

// clean checks that nothing of a making is left: no file, mount, or process.
func (p *place) clean() {
	p.t.Helper()
	if left, err := os.ReadDir(p.dir); err != nil || len(left) > 0 {
		p.t.Errorf("%v %v", left, err)
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), p.dir) {
		p.t.Errorf("something is still mounted: %v", err)
	}
	processes, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil || len(processes) == 0 {
		p.t.Error(err)
	}
	for _, path := range processes {
		if env, _ := os.ReadFile(path); strings.Contains(string(env), "TREE="+p.dir) {
			p.t.Errorf("%s still runs", path)
		}
	}
}

// lines keeps what is told and shows each line to on.
type lines struct {
	bytes.Buffer
	on func(string)
}

func (l *lines) Write(p []byte) (int, error) {
	if l.on != nil {
		l.on(string(p))
	}
	return l.Buffer.Write(p)
}
