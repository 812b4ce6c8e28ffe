package containerd

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
)

// registry is where images come from: host:port, or unix: and the path of a
// socket.
type registry struct{ host, user, password string }

// registryName stands for the platform's registry in the names of what is
// pulled, wherever it listens.
const registryName = "slipway.local"

// silence ends a transfer in which nothing arrives for so long.
const silence = time.Minute

// resolver leads to the platform's registry alone, whatever a name says.
func (g registry) resolver() (r remotes.Resolver, done func()) {
	transport := &http.Transport{
		ResponseHeaderTimeout: silence, MaxResponseHeaderBytes: 1 << 20,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			dialer := net.Dialer{Timeout: 10 * time.Second}
			kind, where := "tcp", g.host
			if path, local := strings.CutPrefix(g.host, "unix:"); local {
				kind, where = "unix", path
			}
			conn, err := dialer.DialContext(ctx, kind, where)
			if err != nil {
				return nil, err
			}
			return impatient{conn}, nil
		},
	}
	host := docker.RegistryHost{
		Client: &http.Client{Transport: transport}, Host: "localhost", Scheme: "http", Path: "/v2",
		Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve,
		Authorizer:   login{g.user, g.password},
	}
	if !strings.HasPrefix(g.host, "unix:") {
		host.Host = g.host
		if name, _, err := net.SplitHostPort(g.host); err != nil || name != "localhost" && !net.ParseIP(name).IsLoopback() {
			host.Scheme = "https" // plain HTTP to this machine only
		}
	}
	r = docker.NewResolver(docker.ResolverOptions{Hosts: func(string) ([]docker.RegistryHost, error) {
		return []docker.RegistryHost{host}, nil
	}})
	return r, transport.CloseIdleConnections
}

// login shows the credential at once: there is one registry.
type login struct{ user, password string }

func (l login) Authorize(_ context.Context, r *http.Request) error {
	if l.user != "" || l.password != "" {
		r.SetBasicAuth(l.user, l.password)
	}
	return nil
}

// AddResponses is asked after the registry said no.
func (l login) AddResponses(context.Context, []*http.Response) error {
	return fmt.Errorf("the registry refuses the node's credential: %w", platform.ErrUnavailable)
}

// impatient ends a connection over which nothing comes.
type impatient struct{ net.Conn }

func (c impatient) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(silence)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// named gives what is pulled a name of ours in containerd: an app's own.
type named struct {
	remotes.Resolver
	name string
}

func (n named) Resolve(ctx context.Context, ref string) (string, ocispec.Descriptor, error) {
	_, d, err := n.Resolver.Resolve(ctx, ref)
	return n.name, d, err
}

func (n named) Fetcher(ctx context.Context, _ string) (remotes.Fetcher, error) {
	_, ref, _ := strings.Cut(n.name, "/")
	return n.Resolver.Fetcher(ctx, registryName+"/"+ref)
}

// Bounds of what one pull may take of the disk: a layer of a few MiB can hold
// a TiB of zeros.
const (
	maxUnpacked = 32 << 30
	leastFree   = 512 << 20
)

// watchDisk ends a pull that fills the disk.
func (s *store) watchDisk(ctx context.Context, end context.CancelCauseFunc) *sync.WaitGroup {
	var work sync.WaitGroup
	where := s.engine.dir
	if _, err := os.Stat(where); err != nil {
		where = "/"
	}
	before := free(where)
	work.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			switch now := free(where); {
			case now < leastFree:
				end(&platform.UserError{Kind: platform.ErrUnavailable, Message: "the disk is full: " + runtime.Size(leastFree) + " have to stay free", Cure: "Make room below " + where + "."})
			case before-now > maxUnpacked:
				end(platform.Invalid("image", "it unpacks to more than %s", runtime.Size(maxUnpacked)))
			}
		}
	})
	return &work
}

func free(dir string) int64 {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return 1 << 62
	}
	return int64(stat.Bavail) * stat.Bsize
}
