package dockerfile_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/crypto/ssh"

	"github.com/slipway-paas/slipway/internal/builder/dockerfile"
	"github.com/slipway-paas/slipway/internal/platform"
)

// token is a secret no text holds by chance.
const token = "hunter22-e4c0b1aa5d"

// nowhere fails when a file below dir, a layer or the config holds the text.
func nowhere(t *testing.T, dir string, image v1.Image, text string) {
	t.Helper()
	files := whole(t, image)
	if len(files) == 0 {
		t.Error("the image has no files of its own: nothing was looked at")
	}
	for name, content := range files {
		if strings.Contains(content, text) {
			t.Errorf("the layer's %s holds it", name)
		}
	}
	config, err := image.RawConfigFile()
	if err != nil || bytes.Contains(config, []byte(text)) {
		t.Errorf("%v, the image's config holds it: %s", err, config)
	}
	looked := 0
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || strings.Contains(path, "/usr/") {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(text)) {
			t.Errorf("%s holds it", path)
		}
		looked++
		return err
	})
	if err != nil || looked == 0 {
		t.Errorf("%d files looked at, %v", looked, err)
	}
}

func TestASecretIsInNoLayerLogOrCache(t *testing.T) {
	s := open(t, nil)
	files := map[string]string{"Dockerfile": `FROM debian:bookworm
RUN --mount=type=secret,id=TOKEN test "$(cat /run/secrets/TOKEN)" = ` + token[:8] + `-e4c0b1aa5d && echo it is $(cat /run/secrets/TOKEN)
RUN --mount=type=secret,id=TOKEN,env=TOKEN printenv TOKEN | tr a-z A-Z > /upper
ARG TOKEN
RUN echo "argument: $TOKEN." > /argument
`}
	// The Dockerfile itself holds what it compares with, in two pieces.
	files["Dockerfile"] = strings.ReplaceAll(files["Dockerfile"], "hunter22-e4c0b1aa5d", "hunter22-e4c\\0b1aa5d")
	env := map[string]string{"TOKEN": token, "OTHER": "x", "SLIPWAY_BUILD_SECRETS": "TOKEN", "SLIPWAY_BUILD_ARGS": "TOKEN, OTHER"}
	result, out, err := s.build(t, "blog", files, env)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out, token) || !strings.Contains(out, "it is [TOKEN]") {
		t.Error("the build's output shows it, or the step did not have it")
	}
	image := s.get(t, result.Image)
	got := whole(t, image)
	if got["upper"] != strings.ToUpper(token)+"\n" || got["argument"] != "argument: .\n" {
		t.Errorf("the image has %q and %q", got["upper"], got["argument"])
	}
	nowhere(t, s.dir, image, token)

	_, _, err = s.build(t, "blog", map[string]string{"Dockerfile": "FROM debian:bookworm\nRUN --mount=type=secret,id=TOKEN,required=true true\n"}, map[string]string{"TOKEN": token})
	wants(t, err, platform.ErrInvalid, "TOKEN: not found", "SLIPWAY_BUILD_SECRETS")
	_, _, err = s.build(t, "blog", map[string]string{"Dockerfile": "FROM debian:bookworm"}, map[string]string{"SLIPWAY_BUILD_SECRETS": "NONE"})
	wants(t, err, platform.ErrInvalid, "SLIPWAY_BUILD_SECRETS names NONE, which the app's config does not have")
}

func TestAnotherAppReadsNothingOfACacheOrASecretStep(t *testing.T) {
	s := open(t, nil)
	files := map[string]string{"Dockerfile": `FROM debian:bookworm
RUN --mount=type=secret,id=TOKEN cp /run/secrets/TOKEN /copy || echo none > /copy
RUN --mount=type=cache,id=shared,target=/shared cat /shared/* > /found || true; cat /copy > /shared/kept
`}
	if _, _, err := s.build(t, "one", files, map[string]string{"TOKEN": token, "SLIPWAY_BUILD_SECRETS": "TOKEN"}); err != nil {
		t.Fatal(err)
	}
	result, _, err := s.build(t, "two", files, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := whole(t, s.get(t, result.Image)); got["copy"] != "none\n" || got["found"] != "" {
		t.Errorf("the other app has %q and %q", got["copy"], got["found"])
	}
	files["Dockerfile"] += "RUN --mount=type=cache,id=shared,target=/shared cp /shared/kept /mine\n"
	if result, _, err = s.build(t, "two", files, nil); err != nil {
		t.Fatal(err)
	}
	if got := whole(t, s.get(t, result.Image)); got["mine"] != "none\n" {
		t.Errorf("its own cache has %q", got["mine"])
	}
}

func TestOnlyTheConfigAskedForIsABuildArgument(t *testing.T) {
	s := open(t, nil)
	files := map[string]string{"Dockerfile": "FROM debian:bookworm\nARG A\nARG B\nARG SOURCE_VERSION\nRUN echo \"$A,$B,$SOURCE_VERSION\" > /arguments\n"}
	for name, c := range map[string]struct {
		env  map[string]string
		want string
	}{
		"none":      {map[string]string{"A": "1", "B": "2"}, ",,01234567\n"},
		"one":       {map[string]string{"A": "1", "B": "2", "SLIPWAY_BUILD_ARGS": "A"}, "1,,01234567\n"},
		"every one": {map[string]string{"A": "1", "B": "2", "DEIS_DOCKER_BUILD_ARGS_ENABLED": ""}, "1,2,01234567\n"},
	} {
		result, _, err := s.build(t, "blog", files, c.env)
		if err != nil {
			t.Fatal(err)
		}
		if got := whole(t, s.get(t, result.Image))["arguments"]; got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestAStepSignsWithAKeyItNeverSees(t *testing.T) {
	s := open(t, nil)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	key := string(pem.EncodeToMemory(block))
	authorized, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	// A step without ssh(1) asks the agent itself: SSH_AGENTC_REQUEST_IDENTITIES.
	files := map[string]string{"Dockerfile": `FROM debian:bookworm
RUN --mount=type=ssh perl -MIO::Socket::UNIX -e 'my $s = IO::Socket::UNIX->new(Peer => $ENV{SSH_AUTH_SOCK}) or die $!; print $s "\0\0\0\1\x0b"; read($s, my $n, 4); read($s, my $x, unpack("N", $n)); print unpack("H*", $x)' > /identities
`}
	result, _, err := s.build(t, "blog", files, map[string]string{"SLIPWAY_BUILD_SSH_KEY": base64.StdEncoding.EncodeToString([]byte(key))})
	if err != nil {
		t.Fatal(err)
	}
	image := s.get(t, result.Image)
	answer, err := hex.DecodeString(whole(t, image)["identities"])
	if err != nil || !bytes.Contains(answer, authorized.Marshal()) {
		t.Errorf("the agent answers %q, %v", answer, err)
	}
	for line := range strings.Lines(key) {
		if !strings.HasPrefix(line, "-----") {
			nowhere(t, s.dir, image, strings.TrimSpace(line))
		}
	}
	_, _, err = s.build(t, "blog", files, map[string]string{"SLIPWAY_BUILD_SSH_KEY": "nonsense"})
	wants(t, err, platform.ErrInvalid, "SLIPWAY_BUILD_SSH_KEY is no private key")
	_, _, err = s.build(t, "blog", map[string]string{"Dockerfile": "FROM debian:bookworm\nRUN --mount=type=ssh,required=true true\n"}, nil)
	wants(t, err, platform.ErrInvalid, "SLIPWAY_BUILD_SSH_KEY")
}

func TestAStepReachesTheWorldAndNotTheMachinesLoopback(t *testing.T) {
	s := open(t, nil)
	loopback, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer loopback.Close()
	_, port, err := net.SplitHostPort(loopback.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	connect := `perl -MIO::Socket::INET -e 'for (@ARGV) { my $s; for my $try (1 .. 3) { $s ||= IO::Socket::INET->new(PeerAddr => $_, Timeout => 20) } print "$_ ", $s ? "open" : "closed", "\n" }' `
	files := map[string]string{"Dockerfile": "FROM debian:bookworm\nRUN " + connect + "127.0.0.1:" + port + " 169.254.169.254:80 registry.npmjs.org:443 > /seen; cat /proc/net/dev | grep -c : > /links; ls /dev > /devices; (mount -t tmpfs x /mnt || mknod /disk b 254 0) 2>/dev/null && echo can > /rights; true\n"}
	result, _, err := s.build(t, "blog", files, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := whole(t, s.get(t, result.Image))
	if !strings.Contains(got["seen"], "127.0.0.1:"+port+" closed") || !strings.Contains(got["seen"], "169.254.169.254:80 closed") {
		t.Errorf("it reached what it must not: %s", got["seen"])
	}
	if machineReaches("registry.npmjs.org:443") && !strings.Contains(got["seen"], "registry.npmjs.org:443 open") {
		t.Errorf("it does not reach what the machine does: %s", got["seen"])
	}
	if got["links"] != "2\n" || strings.Contains(got["devices"], "vda") || strings.Contains(got["devices"], "kmsg") {
		t.Errorf("it sees %s interfaces and the devices %s", got["links"], got["devices"])
	}
	nothingLeft(t, s, "no such word")

	// What BuildKit fetches in a Dockerfile's name is no way around it.
	web := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the machine's loopback was reached") }))
	defer web.Close()
	for _, line := range []string{"ADD " + web.URL + "/x /x", "ADD " + web.URL + "/x.git /x", "COPY --from=" + strings.TrimPrefix(web.URL, "http://") + "/a/b:c / /"} {
		_, _, err := s.build(t, "blog", map[string]string{"Dockerfile": "FROM debian:bookworm\n" + line + "\n"}, nil)
		wants(t, err, platform.ErrInvalid, "127.0.0.1")
	}
}

func TestAnAppBuildsOnItsOwnImagesAndOnNoOthers(t *testing.T) {
	s := open(t, nil)
	first, _, err := s.build(t, "one", map[string]string{"Dockerfile": "FROM debian:bookworm\nRUN echo " + token + " > /private\n"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"FROM " + s.address + "/" + first.Image, "FROM debian:bookworm\nCOPY --from=" + s.address + "/" + first.Image + " /private /stolen"} {
		_, out, err := s.build(t, "two", map[string]string{"Dockerfile": line + "\n"}, nil)
		wants(t, err, platform.ErrInvalid, "denied by policy")
		if strings.Contains(out, token) {
			t.Error("it saw the other's image")
		}
		if _, _, err = s.build(t, "one", map[string]string{"Dockerfile": line + "\n"}, nil); err != nil {
			t.Error(err)
		}
	}
}

func machineReaches(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func TestCredentialsOfABaseImageGoToItsRegistryAlone(t *testing.T) {
	// The mirror of Docker Hub wants the platform's own here; a registry nobody
	// gave credentials for says no.
	other := open(t, nil)
	host := other.address
	s := open(t, func(o *dockerfile.Options) { o.Hosts.Insecure = map[string]bool{host: true} })
	files := map[string]string{"Dockerfile": "FROM " + host + "/library/debian:bookworm\nRUN echo x > /x\n"}
	_, _, err := s.build(t, "blog", files, nil)
	wants(t, err, platform.ErrInvalid, "401", "slipway registry set")
	r := request("blog", nil, &lines{t: t})
	r.Registry = map[string]string{"username": user, "password": password, "hostname": host}
	result, err := s.Build(t.Context(), tree(t, files), r)
	if err != nil {
		t.Fatal(err)
	}
	said, err := json.Marshal(result)
	if err != nil || strings.Contains(string(said), password) {
		t.Errorf("%s, %v", said, err)
	}
	nowhere(t, s.dir, s.get(t, result.Image), password)
}
