package main_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slipway-paas/slipway/internal/porttest"
	"github.com/slipway-paas/slipway/internal/stacktest"
)

// elsewhere is a registry of somebody else, which a script has stand for
// docker.io.
type elsewhere struct {
	server *http.Server
	host   string
	auth   authn.Basic // who may ask it; everybody without
}

// elsewhereCommand starts such a registry, whose host:port is then in $ELSEWHERE,
// and stops it for good.
func elsewhereCommand(ts *testscript.TestScript, neg bool, args []string) {
	m := ts.Value("elsewhere").(*elsewhere)
	switch {
	case neg || len(args) == 0 || len(args) > 2:
		ts.Fatalf("usage: elsewhere start [USER:PASSWORD]|stop")
	case args[0] == "stop":
		ts.Check(m.server.Close())
	default:
		ts.Check(m.start(args[1:]))
		ts.Defer(func() { m.server.Close() })
		ts.Setenv("ELSEWHERE", m.host)
	}
}

func (m *elsewhere) start(credentials []string) error {
	images := registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, 0)))
	if len(credentials) > 0 {
		m.auth.Username, m.auth.Password, _ = strings.Cut(credentials[0], ":")
	}
	port, err := porttest.Free(1)
	if err != nil {
		return err
	}
	m.host = "127.0.0.1:" + strconv.Itoa(port)
	listener, err := net.Listen("tcp", m.host)
	if err != nil {
		return err
	}
	m.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != m.auth.Username || password != m.auth.Password {
			w.Header().Set("WWW-Authenticate", `Basic realm="elsewhere"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, r)
	})}
	go func() { _ = m.server.Serve(listener) }() // until Close
	return nil
}

// imageCommand makes an image and gives it to the registry elsewhere:
//
//	static   one Go program from scratch, which tells what its tag is
//	portless the same, which exposes nothing
//	foreign  the same for another machine
//	debian   a server in Perl on Debian's smallest file system, as www-data
func imageCommand(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != 2 {
			ts.Fatalf("usage: image static|portless|foreign|debian REPOSITORY:TAG")
		}
		m := ts.Value("elsewhere").(*elsewhere)
		ref, err := name.ParseReference(m.host+"/"+args[1], name.Insecure)
		ts.Check(err)
		image, err := imageOf(t, args[0], ref.Identifier())
		ts.Check(err)
		ts.Check(remote.Write(ref, image, remote.WithAuth(&m.auth)))
	}
}

func imageOf(t testing.TB, kind, tag string) (v1.Image, error) {
	t.Helper()
	config := v1.Config{Cmd: []string{tag}, Entrypoint: []string{"/server"}, ExposedPorts: map[string]struct{}{"9000/tcp": {}}}
	base, machine := empty.Image, runtime.GOARCH
	switch kind {
	case "portless":
		config.ExposedPorts = nil
	case "foreign":
		machine = "s390x"
	case "debian":
		base = stacktest.Image(t)
		config.Entrypoint, config.Cmd, config.User, config.WorkingDir, config.Env = nil, []string{"perl", "server.pl"}, "www-data", "/srv", []string{"PATH=/usr/bin:/bin", "MADE=here"}
	case "static":
	default:
		return nil, fmt.Errorf("no kind of image is called %s", kind)
	}
	file, err := serverFile(kind)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file)), nil })
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(base, layer)
	if err != nil {
		return nil, err
	}
	says, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	says = says.DeepCopy()
	says.OS, says.Architecture, says.Config = "linux", machine, config
	return mutate.ConfigFile(image, says)
}

// serverFile is the one file that an image has of its own, in a tar.
func serverFile(kind string) ([]byte, error) {
	where, content := "server", []byte("nothing that this machine runs")
	var err error
	switch kind {
	case "debian":
		where, content = "srv/server.pl", []byte(perlServer)
	case "static", "portless":
		if content, err = staticServer(); err != nil {
			return nil, err
		}
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	err = w.WriteHeader(&tar.Header{Name: where, Mode: 0o755, Size: int64(len(content)), Typeflag: tar.TypeReg})
	_, werr := w.Write(content)
	return out.Bytes(), errors.Join(err, werr, w.Close())
}

// staticServer is testdata/static, built once.
var staticServer = sync.OnceValues(func() ([]byte, error) {
	file := filepath.Join(bin, "static-server")
	build := exec.Command("go", "build", "-o", file, "./testdata/static")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return os.ReadFile(file)
})

const perlServer = `
use IO::Socket::INET;
$SIG{TERM} = sub { print "asked to go\n"; exit 0 };
$| = 1;
my $s = IO::Socket::INET->new(LocalPort => $ENV{PORT}, Listen => 128, ReuseAddr => 1) or die "cannot listen: $!";
print "listening as ", (getpwuid $<)[0], "\n";
while (my $c = $s->accept) {
	while (<$c>) { last if /^\r?$/ }
	my $b = "$ENV{DEIS_APP} $ENV{WORKFLOW_RELEASE} made $ENV{MADE}\n";
	print $c "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " . length($b) . "\r\n\r\n$b";
	close $c;
}
`
