package dockerfile_test

import (
	"archive/tar"
	"io"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-paas/slipway/internal/platform"
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
		if err == io.EOF {
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
