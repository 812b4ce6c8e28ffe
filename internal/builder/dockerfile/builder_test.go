package dockerfile_test

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/stacktest"
)

func readLayer(t *testing.T, layer v1.Layer, files map[string]string) {
	t.Helper()
	plain, err := layer.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(header.Name, "./")] = string(text)
	}
}

func TestADockerfileBecomesAnImage(t *testing.T) {
	s := open(t, nil)
	files := map[string]string{
		"Dockerfile": `# syntax=docker/dockerfile:1
FROM debian:bookworm AS maker
COPY . /tree
RUN cat /tree/a > /made && echo made by $(id -u)

FROM debian:bookworm
ARG SOURCE_VERSION
COPY --from=maker /made /made
COPY . /tree
RUN echo $SOURCE_VERSION > /version
EXPOSE 9000 8080/tcp 53/udp
USER nobody
CMD ["cat", "/made"]
`,
		"a": "one", "secret.txt": "not sent", ".dockerignore": "secret.txt\n", "Procfile": "web: cat /made\n",
	}
	result, out, err := s.build(t, "blog", files, nil)
	if err != nil {
		t.Fatal(err)
	}
	if result.Kind != platform.ImageDockerfile || !slices.Equal(result.Ports, []int{8080, 9000}) || result.Procfile["web"] != "cat /made" || result.Size == 0 {
		t.Errorf("%+v", result)
	}
	if !strings.Contains(out, "made by 0") {
		t.Errorf("the step's output is missing")
	}
	got := whole(t, s.get(t, result.Image))
	if got["made"] != "one" || got["version"] != "01234567\n" || got["tree/secret.txt"] != "" {
		t.Errorf("the image has %q %q %q", got["made"], got["version"], got["tree/secret.txt"])
	}
	_, out, err = s.build(t, "blog", files, nil)
	if err != nil || !strings.Contains(out, "CACHED") {
		t.Errorf("a second build makes all of it again: %v", err)
	}
}

func TestABrokenDockerfileFailsWithBuildKitsWords(t *testing.T) {
	s := open(t, nil)
	for name, c := range map[string]struct {
		text string
		want []string
		says string
	}{
		"an unknown instruction": {"FROM debian:bookworm\nBOGUS x\n", []string{"Unknown instruction: BOGUS", "Fix the Dockerfile"}, "   2 | >>> BOGUS x"},
		"a step that fails":      {"FROM debian:bookworm\nRUN echo why; exit 3\n", []string{"exit code: 3"}, " why"},
		"no base image":          {"FROM nothing:here\n", []string{"nothing:here", "after FROM"}, "ERROR"},
		"an empty one":           {"", []string{"Dockerfile cannot be empty"}, "ERROR"},
		"a missing file":         {"FROM debian:bookworm\nCOPY nothing /x\n", []string{"/nothing\": not found"}, "COPY nothing"},
		"the machine's network":  {"FROM debian:bookworm\nRUN --network=host true\n", []string{"network.host is not allowed"}, "ERROR"},
		"more rights":            {"FROM debian:bookworm\nRUN --security=insecure true\n", []string{"security.insecure is not allowed"}, "ERROR"},
	} {
		_, out, err := s.build(t, "blog", map[string]string{"Dockerfile": c.text}, nil)
		wants(t, err, platform.ErrInvalid, c.want...)
		if !strings.Contains(out, c.says) || !strings.Contains(out, "Build pod exited with code 1, stopping build.") {
			t.Errorf("%s: it lacks %q:\n%s", name, c.says, out)
		}
	}
}

func TestTheConfigNamesDockerfileAndStage(t *testing.T) {
	s := open(t, nil)
	files := map[string]string{
		"deploy/web.Dockerfile": "FROM debian:bookworm AS first\nRUN echo first > /stage\nFROM debian:bookworm\nRUN echo last > /stage\n",
		"Dockerfile":            "BOGUS",
	}
	env := map[string]string{"SLIPWAY_DOCKERFILE": "deploy/web.Dockerfile", "SLIPWAY_BUILD_TARGET": "first"}
	result, _, err := s.build(t, "blog", files, env)
	if err != nil {
		t.Fatal(err)
	}
	if got := whole(t, s.get(t, result.Image))["stage"]; got != "first\n" {
		t.Errorf("built %q", got)
	}
	_, _, err = s.build(t, "blog", files, map[string]string{"SLIPWAY_DOCKERFILE": "../Dockerfile"})
	wants(t, err, platform.ErrInvalid, "a path inside the tree")
}

func TestADockerfileThatLeadsOutOfTheTreeFindsNothingThere(t *testing.T) {
	s := open(t, nil)
	dir := tree(t, map[string]string{"x": ""})
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "Dockerfile")); err != nil {
		t.Fatal(err)
	}
	out := &lines{t: t}
	_, err := s.Build(t.Context(), dir, request("blog", nil, out))
	if err == nil || strings.Contains(out.String()+err.Error(), "root:x:0") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestAnImageForAnotherMachineIsRefused(t *testing.T) {
	s := open(t, nil)
	image := stacktest.Image(t)
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.Architecture = "s390x"
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	put(t, s.address, "library/mainframe:1", image)
	_, _, err = s.build(t, "blog", map[string]string{"Dockerfile": "FROM --platform=linux/s390x mainframe:1\nENV A=b\n"}, nil)
	wants(t, err, platform.ErrInvalid, "linux/s390x", "--platform")
}
