package builder_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/platform"
)

// lister is a Builder that says what is in the tree it gets.
type lister struct {
	file string // builds trees that have this file
	err  error
	seen []string
}

func (l *lister) Detect(_ context.Context, dir string, _ builder.Request) (bool, error) {
	_, err := os.Lstat(filepath.Join(dir, l.file))
	return err == nil, nil
}

func (l *lister) Build(_ context.Context, dir string, _ builder.Request) (builder.Result, error) {
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		rel, _ := filepath.Rel(dir, path)
		l.seen = append(l.seen, fmt.Sprintf("%s %s", info.Mode(), rel))
		return err
	})
	return builder.Result{Image: l.file}, errors.Join(err, l.err)
}

func picker(t *testing.T, bounds builder.Bounds, builders builder.Builders) (*builder.Picker, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "trees")
	p, err := builder.NewPicker(slog.New(slog.DiscardHandler), builder.PickerOptions{Dir: dir, Source: bounds}, builders)
	if err != nil {
		t.Fatal(err)
	}
	return p, dir
}

func request(t *testing.T, headers ...tar.Header) builder.Request {
	t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg && h.Size == 0 {
			h.Size = 1
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.CopyN(w, strings.NewReader(strings.Repeat("x", int(h.Size))), h.Size); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return builder.Request{App: "blog", Output: io.Discard, Source: platform.Source{
		Tree: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil },
	}}
}

func file(name string, mode int64) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode}
}

func link(name, target string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target}
}

func empty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		t.Errorf("left in %s: %v %v", dir, entries, err)
	}
}

func TestTheFirstBuilderThatDetectsBuildsTheUnpackedTree(t *testing.T) {
	first, second := &lister{file: "a"}, &lister{file: "b"}
	p, dir := picker(t, builder.Bounds{}, builder.Builders{CNB: first, Buildpack: second})
	result, err := p.Build(t.Context(), request(t, file("b", 0o664), file("deep/er/x", 0o4775), link("out", "/etc/passwd"), tar.Header{Typeflag: tar.TypeDir, Name: "hollow/", Mode: 0o700}))
	if err != nil || result.Image != "b" || first.seen != nil {
		t.Fatalf("%+v, %v", result, err)
	}
	want := "drwxr-xr-x .|-rw-r--r-- b|drwxr-xr-x deep|drwxr-xr-x deep/er|-rwxr-xr-x deep/er/x|drwxr-xr-x hollow|Lrwxrwxrwx out"
	if got := strings.Join(second.seen, "|"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	empty(t, dir)
}

func TestATreeThatClimbsOutOrIsTooMuchIsRefused(t *testing.T) {
	outside := t.TempDir()
	for name, c := range map[string]struct {
		want    string
		headers []tar.Header
	}{
		"a parent":          {"leads out of it", []tar.Header{file("../x", 0o644)}},
		"an inner parent":   {"leads out of it", []tar.Header{file("a/../../x", 0o644)}},
		"an absolute path":  {"leads out of it", []tar.Header{file("/etc/x", 0o644)}},
		"through a link":    {"the tree contains a twice", []tar.Header{link("a", outside), file("a/x", 0o644)}},
		"over a link":       {"the tree contains a twice", []tar.Header{link("a", filepath.Join(outside, "x")), file("a", 0o644)}},
		"a directory twice": {"the tree contains a twice", []tar.Header{link("a", outside), {Typeflag: tar.TypeDir, Name: "a/"}}},
		"through a file":    {"the tree contains a twice", []tar.Header{file("a", 0o644), file("a/x", 0o644)}},
		"a device":          {"neither a file nor a directory", []tar.Header{{Typeflag: tar.TypeChar, Name: "null"}}},
		"a hard link":       {"neither a file nor a directory", []tar.Header{{Typeflag: tar.TypeLink, Name: "x", Linkname: "/etc/shadow"}}},
		"too large":         {"larger than 1 MiB: big is beyond", []tar.Header{{Typeflag: tar.TypeReg, Name: "big", Size: 2 << 20}}},
		"too many":          {"more than 5 files", []tar.Header{file("1", 0), file("2/3/4/5/6", 0)}},
	} {
		p, dir := picker(t, builder.Bounds{Bytes: 1 << 20, Files: 5}, builder.Builders{Buildpack: &lister{file: "."}})
		_, err := p.Build(t.Context(), request(t, c.headers...))
		if !errors.Is(err, platform.ErrInvalid) || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		empty(t, dir)
	}
	empty(t, outside)
}

// what a builder of this name was asked for.
const (
	docker    = "Dockerfile"
	cnb       = "project.toml"
	buildpack = "."
)

func TestTheTreeAndTheConfigDecideWhoBuilds(t *testing.T) {
	broken := &platform.UserError{Kind: platform.ErrUnavailable, Message: "no runc", Cure: "install it"}
	for name, c := range map[string]struct {
		files  string
		env    map[string]string
		broken bool
		want   string // the builder, or a part of the error
	}{
		"a Dockerfile":                        {files: "Dockerfile", want: docker},
		"a Procfile":                          {files: "Procfile", want: buildpack},
		"neither":                             {files: "go.mod", want: buildpack},
		"neither, and CNB wants it":           {files: "project.toml", want: cnb},
		"both":                                {files: "Dockerfile Procfile", want: docker},
		"both, procfile":                      {files: "Dockerfile Procfile", env: map[string]string{"HEPHY_BUILDER": "procfile"}, want: buildpack},
		"both, dockerfile":                    {files: "Dockerfile Procfile", env: map[string]string{"HEPHY_BUILDER": "dockerfile"}, want: docker},
		"both, nonsense":                      {files: "Dockerfile Procfile", env: map[string]string{"HEPHY_BUILDER": "kaniko"}, want: `HEPHY_BUILDER is "kaniko": it is procfile or dockerfile`},
		"only a Procfile, dockerfile":         {files: "Procfile", env: map[string]string{"HEPHY_BUILDER": "dockerfile"}, want: buildpack},
		"only a Dockerfile, procfile":         {files: "Dockerfile", env: map[string]string{"HEPHY_BUILDER": "procfile"}, want: docker},
		"a Dockerfile, and buildpack wished":  {files: "Dockerfile", env: map[string]string{"SLIPWAY_BUILDER": "buildpack"}, want: buildpack},
		"a Dockerfile, and cnb wished":        {files: "Dockerfile", env: map[string]string{"SLIPWAY_BUILDER": "cnb"}, want: cnb},
		"no Dockerfile, and it is wished":     {files: "go.mod", env: map[string]string{"SLIPWAY_BUILDER": "dockerfile"}, want: "the tree has no Dockerfile"},
		"nonsense wished":                     {files: "go.mod", env: map[string]string{"SLIPWAY_BUILDER": "make"}, want: `SLIPWAY_BUILDER is "make": it is dockerfile, cnb or buildpack`},
		"a Dockerfile here where none builds": {files: "Dockerfile Procfile", broken: true, want: buildpack},
		"and it is wished":                    {files: "Dockerfile Procfile", broken: true, env: map[string]string{"SLIPWAY_BUILDER": "dockerfile"}, want: "no runc"},
		"and it is chosen over the Procfile":  {files: "Dockerfile Procfile", broken: true, env: map[string]string{"HEPHY_BUILDER": "dockerfile"}, want: "no runc"},
	} {
		all := builder.Builders{Dockerfile: &lister{file: docker}, CNB: &lister{file: cnb}, Buildpack: &lister{file: buildpack}}
		if c.broken {
			all.NoDockerfile = func() *platform.UserError { return broken }
		}
		p, _ := picker(t, builder.Bounds{}, all)
		var headers []tar.Header
		for path := range strings.FieldsSeq(c.files) {
			headers = append(headers, file(path, 0o644))
		}
		r := request(t, headers...)
		r.Env = c.env
		result, err := p.Build(t.Context(), r)
		if result.Image != c.want && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %q, %v; want %s", name, result.Image, err, c.want)
		}
	}
}

func TestADockerfileNobodyBuildsSaysWhatToDo(t *testing.T) {
	undetected := &platform.UserError{Kind: errors.Join(platform.ErrInvalid, builder.ErrUndetected), Message: "unknown"}
	p, _ := picker(t, builder.Bounds{}, builder.Builders{Buildpack: &lister{file: ".", err: undetected}, NoDockerfile: func() *platform.UserError {
		return &platform.UserError{Kind: platform.ErrUnavailable, Message: "no runc"}
	}})
	_, err := p.Build(t.Context(), request(t, file("Dockerfile", 0o644)))
	if !strings.Contains(fmt.Sprint(err), "no runc") {
		t.Error(err)
	}
	if _, err := p.Build(t.Context(), request(t, file("x", 0o644))); !errors.Is(err, builder.ErrUndetected) {
		t.Error(err)
	}
}

func TestABrokenSourceLeavesNothing(t *testing.T) {
	p, dir := picker(t, builder.Bounds{}, builder.Builders{Buildpack: &lister{file: "."}})
	whole := request(t, file("a", 0o644), tar.Header{Typeflag: tar.TypeReg, Name: "b", Size: 100_000})
	for name, tree := range map[string]func() (io.ReadCloser, error){
		"missing": func() (io.ReadCloser, error) { return nil, errors.New("gone") },
		"cut": func() (io.ReadCloser, error) {
			r, err := whole.Source.Tree()
			return struct {
				io.Reader
				io.Closer
			}{io.LimitReader(r, 5000), r}, err
		},
		"no tar": func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(strings.Repeat("nonsense", 1000))), nil
		},
	} {
		r := whole
		r.Source.Tree = tree
		if _, err := p.Build(t.Context(), r); err == nil {
			t.Errorf("%s: built", name)
		}
		empty(t, dir)
	}
}

func TestANewPickerRemovesWhatACrashLeft(t *testing.T) {
	_, dir := picker(t, builder.Bounds{}, builder.Builders{})
	if err := os.MkdirAll(filepath.Join(dir, "blog-1", "app"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := builder.NewPicker(slog.New(slog.DiscardHandler), builder.PickerOptions{Dir: dir}, builder.Builders{}); err != nil {
		t.Fatal(err)
	}
	empty(t, dir)
}

func TestATreeThatNoNativeBuildpackIsForIsTheBundledOnes(t *testing.T) {
	undetected := &lister{file: "a", err: fmt.Errorf("nothing: %w", builder.ErrUndetected)}
	bundled := &lister{file: "b"}
	p, dir := picker(t, builder.Bounds{}, builder.Builders{CNB: undetected, Buildpack: bundled})
	if result, err := p.Build(t.Context(), request(t, file("a", 0o644))); err != nil || result.Image != "b" {
		t.Errorf("%+v, %v", result, err)
	}
	undetected.err = errors.New("broken")
	if result, err := p.Build(t.Context(), request(t, file("a", 0o644))); err == nil {
		t.Errorf("a failure was passed over: %+v", result)
	}
	empty(t, dir)
}
