package buildpack_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/builder/buildpack"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/registry"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

const (
	buildUID = 64873
	password = "0123456789abcdef0123456789abcdef"
)

type (
	options = buildpack.Options
	request = builder.Request
)

// street is the real thing from a tree to an image: picker, sandbox, registry.
type street struct {
	*builder.Picker
	pack     *buildpack.Builder
	dir      string
	registry string
}

func open(t testing.TB, change func(*buildpack.Options)) *street {
	t.Helper()
	log := slog.New(slog.NewTextHandler(testWriter{t}, nil))
	handler, err := registry.New(log, registry.Options{Dir: filepath.Join(t.TempDir(), "registry"), User: "slipway", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)

	s := &street{dir: publicDir(t), registry: strings.TrimPrefix(server.URL, "http://")}
	options := buildpack.Options{
		Dir: filepath.Join(s.dir, "buildpacks"), UID: buildUID, Env: hostEnv(),
		RegistryAddr: s.registry, RegistryUser: "slipway", RegistryPassword: password,
	}
	if change != nil {
		change(&options)
	}
	s.pack, err = buildpack.New(log, sandbox.New(t.Context(), log), options)
	if err != nil {
		t.Fatal(err)
	}
	s.Picker, err = builder.NewPicker(log, builder.PickerOptions{Dir: filepath.Join(s.dir, "trees")}, builder.Builders{Buildpack: s.pack})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// publicDir is a temporary directory other users may pass through.
func publicDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "slipway-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = builder.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func hostEnv() map[string]string {
	env := make(map[string]string)
	for _, key := range []string{"SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "GOPROXY", "PIP_FIND_LINKS"} {
		if value, ok := os.LookupEnv(key); ok {
			env[key] = value
		}
	}
	return env
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimSpace(p))
	return len(p), nil
}

// commit makes a git repository of files and returns its directory.
func commit(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(publicDir(t), "repository")
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := fs.FileMode(0o644)
		if strings.HasPrefix(content, "#!") {
			mode = 0o755
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	git(t, dir, "init", "--quiet", "--initial-branch=main")
	git(t, dir, "add", "--all", "--force")
	git(t, dir, "commit", "--quiet", "--allow-empty", "--message=tree")
	return dir
}

// example commits one of the examples of the repository.
func example(t testing.TB, name string) string {
	t.Helper()
	files := make(map[string]string)
	root := filepath.Join("../../../examples", name)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		rel, _ := filepath.Rel(root, path)
		files[rel] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return commit(t, files)
}

func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.com", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.com", "GIT_CONFIG_GLOBAL=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func ask(t testing.TB, repository string, env map[string]string) (builder.Request, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	return builder.Request{
		App: "blog", Build: "0b5a1cde-0000-4000-8000-000000000001", Env: env, Output: &out,
		Source: platform.Source{
			Commit: git(t, repository, "rev-parse", "HEAD"), Branch: "main",
			Tree: func() (io.ReadCloser, error) {
				archive, err := exec.CommandContext(context.WithoutCancel(t.Context()), "git", "-C", repository, "archive", "HEAD").Output()
				return io.NopCloser(bytes.NewReader(archive)), err
			},
		},
	}, &out
}

// build builds a repository that must build.
func (s *street) build(t testing.TB, repository string, env map[string]string) (builder.Result, string) {
	t.Helper()
	r, out := ask(t, repository, env)
	result, err := s.Build(t.Context(), r)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return result, out.String()
}

// fail builds a repository that must not build, and returns the user's error.
func (s *street) fail(t testing.TB, repository string, env map[string]string) (*platform.UserError, string) {
	t.Helper()
	r, out := ask(t, repository, env)
	result, err := s.Build(t.Context(), r)
	if err == nil {
		t.Fatalf("built %+v\n%s", result, out)
	}
	var user *platform.UserError
	if !errors.As(err, &user) || user.Cure == "" {
		t.Fatalf("%v is no error with a cure for the user\n%s", err, out)
	}
	s.clean(t)
	return user, out.String()
}

// clean checks that builds left nothing but caches.
func (s *street) clean(t testing.TB) {
	t.Helper()
	for _, dir := range []string{"trees", "buildpacks/work"} {
		entries, err := os.ReadDir(filepath.Join(s.dir, dir))
		if err != nil || len(entries) > 0 {
			t.Errorf("%s: %v %v", dir, entries, err)
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mounts")
	if strings.Contains(string(mounts), s.dir) {
		t.Error("a mount is left")
	}
	if pids := buildProcesses(t); len(pids) > 0 {
		t.Errorf("processes are left: %v", pids)
	}
}

// buildProcesses lists the processes of the build's user.
func buildProcesses(t testing.TB) []string {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	statuses, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}
	var pids []string
	for _, path := range statuses {
		status, _ := os.ReadFile(path)
		if strings.Contains(string(status), "\nUid:\t64873\t") && !strings.Contains(string(status), "State:\tZ") {
			pids = append(pids, path)
		}
	}
	return pids
}

// files pulls an image and returns its paths with their contents.
func (s *street) files(t testing.TB, image string) map[string]string {
	t.Helper()
	ref, err := name.NewDigest(s.registry+"/"+image, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Image(ref, remote.WithAuth(&authn.Basic{Username: "slipway", Password: password}))
	if err != nil {
		t.Fatal(err)
	}
	layers := mutate.Extract(pulled)
	defer func() { _ = layers.Close() }()
	files := make(map[string]string)
	for archive := tar.NewReader(layers); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimSuffix(header.Name, "/")] = header.Linkname + string(content)
	}
}

func contains(t testing.TB, text string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
}

func needs(t testing.TB, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			if _, err := os.Stat("/usr/local/go/bin/" + program); err != nil {
				t.Skipf("%s is not installed here", program)
			}
		}
	}
}
