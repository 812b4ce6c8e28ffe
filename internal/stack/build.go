package stack

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/platform"
)

//go:embed build.sh
var script []byte

const (
	// minFree is what a stack needs of the disk while it is made, in bytes.
	minFree = 3 << 30
	// runtimes is the word for this machine's own language runtimes.
	runtimes = "runtimes"
)

// Build makes a stack of Debian's packages and pushes it as stack:<name>. It
// tells what it does to out, line by line. It needs root, for the packages'
// own scripts run inside the tree, and debootstrap; when ctx or its time ends,
// so does all of it. Nothing stays mounted, and nothing but the image is left.
func (s *Stacks) Build(ctx context.Context, recipe platform.StackRecipe, out io.Writer) (platform.Stack, error) {
	recipe, err := s.ready(recipe)
	if err != nil {
		return platform.Stack{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.options.Timeout, &platform.UserError{
		Kind:    platform.ErrUnavailable,
		Message: fmt.Sprintf("the stack was not made within %s", s.options.Timeout),
		Cure:    "See whether the mirror answers quickly from the platform's machine, or name another with --mirror.",
	})
	defer cancel()
	if err := os.MkdirAll(s.options.Dir, 0o700); err != nil {
		return platform.Stack{}, err
	}
	dir, err := os.MkdirTemp(s.options.Dir, "new-")
	if err != nil {
		return platform.Stack{}, err
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			s.log.Warn("the tree of a stack stayed", "path", dir, "err", err)
		}
	}()
	made, err := s.build(ctx, dir, recipe, out)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	return made, err
}

// ready fills in a recipe, and says what this machine lacks to follow it.
func (s *Stacks) ready(recipe platform.StackRecipe) (platform.StackRecipe, error) {
	if err := recipe.Valid(); err != nil {
		return recipe, err
	}
	recipe.Suite = cmp.Or(recipe.Suite, ownSuite(), "bookworm")
	recipe.Name = cmp.Or(recipe.Name, recipe.Suite)
	if len(recipe.Packages) == 0 {
		recipe.Packages = []string{runtimes}
	}
	refuse := func(message, cure string) (platform.StackRecipe, error) {
		return recipe, &platform.UserError{Kind: platform.ErrUnavailable, Message: message, Cure: cure}
	}
	if os.Geteuid() != 0 {
		return refuse("making a stack needs root: the packages install themselves into it",
			"Run the platform as root, or choose an image instead: slipway stack use IMAGE.")
	}
	for _, program := range []string{"debootstrap", "apt-get", "dpkg-deb", "mount"} {
		if _, err := exec.LookPath(program); err != nil {
			return refuse(program+" is not installed on the platform's machine",
				"Run there: apt-get install debootstrap. Or choose an image instead: slipway stack use IMAGE.")
		}
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(s.options.Dir), &disk); err == nil && disk.Bavail*uint64(disk.Bsize) < minFree { //nolint:gosec // a block has a size above zero
		return refuse("a stack needs 3 GiB of free disk while it is made", "Free space on the platform's disk: slipway doctor shows where.")
	}
	return recipe, nil
}

// ownSuite is the name of this machine's release of Debian; empty: it is none.
func ownSuite() string {
	text, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return ""
	}
	fields := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		fields[key] = strings.Trim(value, `"`)
	}
	if fields["ID"] != "debian" && fields["ID"] != "ubuntu" {
		return ""
	}
	return fields["VERSION_CODENAME"]
}

func (s *Stacks) build(ctx context.Context, dir string, recipe platform.StackRecipe, out io.Writer) (platform.Stack, error) {
	began := time.Now().Truncate(time.Second)
	tree := filepath.Join(dir, "tree")
	if err := s.bootstrap(ctx, dir, tree, recipe, out); err != nil {
		return platform.Stack{}, err
	}
	fmt.Fprintln(out, "==> Packing") // who listens may have left
	layer, err := pack(ctx, tree, filepath.Join(dir, "layer"), began)
	if err != nil {
		return platform.Stack{}, fmt.Errorf("pack the stack: %w", err)
	}
	image, err := rootImage(layer, recipe)
	if err != nil {
		return platform.Stack{}, err
	}
	ref, err := s.push(ctx, platform.StackRepository, recipe.Name, image)
	if err != nil {
		return platform.Stack{}, fmt.Errorf("push the stack: %w", err)
	}
	facts, err := s.Check(ctx, ref)
	if err != nil {
		return platform.Stack{}, err
	}
	return platform.Stack{Name: recipe.Name, Image: ref, Source: "debian " + recipe.Suite, System: facts.System, Size: facts.Size}, nil
}

// rootImage is a root file system as an image that starts nothing.
func rootImage(layer v1.Layer, recipe platform.StackRecipe) (v1.Image, error) {
	image, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), layer)
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Config = v1.Config{
		Env:    []string{"PATH=" + path, "LANG=C.UTF-8"},
		Cmd:    []string{"/bin/bash"},
		Labels: map[string]string{"org.opencontainers.image.title": "stack " + recipe.Name, "org.opencontainers.image.base.name": "debian:" + recipe.Suite},
	}
	return mutate.ConfigFile(image, file)
}

// bootstrap runs the script as the first process of namespaces of its own:
// when it ends, or is ended, the kernel ends all that it started and takes
// its mounts away.
func (s *Stacks) bootstrap(ctx context.Context, dir, tree string, recipe platform.StackRecipe, out io.Writer) error {
	work := filepath.Join(dir, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		return err
	}
	file := filepath.Join(work, "build.sh")
	if err := os.WriteFile(file, script, 0o600); err != nil {
		return err
	}
	said := &tail{to: out}
	cmd := exec.CommandContext(ctx, "/bin/bash", file) //nolint:gosec // our own script
	cmd.Env = append(environ(),
		"TREE="+tree, "WORK="+work, "SUITE="+recipe.Suite, "MIRROR="+recipe.Mirror,
		"PACKAGES="+strings.Join(recipe.Packages, " "), "UID_APP="+strconv.Itoa(User))
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = "/", said, said, 10*time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	// The signal comes when the thread ends that started it, so it may not.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return &platform.UserError{
			Kind:    platform.ErrInvalid,
			Message: "the stack could not be made: " + cmp.Or(said.last(), exit.String()),
			Cure:    "The lines above say which step failed: a mirror that does not answer, or a package there is not.",
		}
	}
	return err
}

// environ is what of the platform's environment leads to the network.
func environ() []string {
	env := []string{"HOME=/root"}
	for _, key := range []string{"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if value, ok := os.LookupEnv(key); ok {
			env = append(env, key+"="+value)
		}
	}
	return env
}

// tail passes text on and remembers the last line that says an error.
type tail struct {
	to io.Writer

	mu      sync.Mutex
	partial []byte
	fault   string
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.partial = append(t.partial, p...)
	for {
		line, rest, found := bytes.Cut(t.partial, []byte("\n"))
		if !found {
			break
		}
		text := printable(strings.TrimSpace(string(line)), 500)
		if strings.HasPrefix(text, "E: ") || strings.Contains(text, "error:") {
			t.fault = strings.TrimPrefix(text, "E: ")
		}
		fmt.Fprintln(t.to, text) // who listens may have left
		t.partial = rest
	}
	if len(t.partial) > 64<<10 { // no line is so long
		t.partial = nil
	}
	return len(p), nil
}

func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fault
}
