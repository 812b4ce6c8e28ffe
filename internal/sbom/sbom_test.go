package sbom_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/registry"
	"github.com/slipway-paas/slipway/internal/sbom"
)

const password = "0123456789abcdef0123456789abcdef"

type place struct {
	*sbom.Clerk
	t         *testing.T
	host, dir string
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
	p := &place{t: t, host: strings.TrimPrefix(server.URL, "http://"), dir: filepath.Join(t.TempDir(), "sbom")}
	p.Clerk, err = sbom.New(log, sbom.Options{Dir: p.dir, RegistryAddr: p.host, RegistryUser: "slipway", RegistryPassword: password})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var credential = remote.WithAuth(&authn.Basic{Username: "slipway", Password: password})

// push makes an image of layers, each a map of path to content.
func (p *place) push(layers ...map[string]string) string {
	p.t.Helper()
	image := empty.Image
	for _, files := range layers {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		for name, text := range files {
			if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(text))}); err != nil {
				p.t.Fatal(err)
			}
			if _, err := io.WriteString(w, text); err != nil {
				p.t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			p.t.Fatal(err)
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil })
		if err != nil {
			p.t.Fatal(err)
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			p.t.Fatal(err)
		}
	}
	digest, err := image.Digest()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := remote.Write(p.digest("blog@"+digest.String()), image, credential); err != nil {
		p.t.Fatal(err)
	}
	return "blog@" + digest.String()
}

func (p *place) digest(ref string) name.Digest {
	p.t.Helper()
	digest, err := name.NewDigest(p.host+"/"+ref, name.Insecure)
	if err != nil {
		p.t.Fatal(err)
	}
	return digest
}

// purls makes the document of an image and lists what it says is in it.
func (p *place) purls(ref string) []string {
	p.t.Helper()
	text, err := p.SBOM(p.t.Context(), ref)
	if err != nil {
		p.t.Fatal(err)
	}
	bom := new(cdx.BOM)
	if err := cdx.NewBOMDecoder(bytes.NewReader(text), cdx.BOMFileFormatJSON).Decode(bom); err != nil {
		p.t.Fatal(err)
	}
	purls := []string{}
	for _, c := range *bom.Components {
		if c.Type == cdx.ComponentTypeOS {
			c.PackageURL = c.Name + " " + c.Version
		}
		purls = append(purls, c.PackageURL)
	}
	return purls
}

func TestWhatPackageManagersLeftIsListed(t *testing.T) {
	p := open(t)
	got := p.purls(p.push(map[string]string{
		"etc/os-release":                      "ID=debian\nVERSION_ID=\"12\"\n",
		"var/lib/dpkg/status":                 "Package: bash\nStatus: install ok installed\nVersion: 5.2+b1\nArchitecture: amd64\nDescription: x\n Package: not-this\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n",
		"app/node_modules/gone/package.json":  `{"name":"gone","version":"1"}`,
		"app/vendor/README":                   "x",
		"usr/lib/python3/a.dist-info/PKG":     "Name: no",
		"usr/lib/python3/a.dist-info/RECORD":  "x",
		"usr/share/doc/package.json":          `{"name":"no","version":"1"}`,
		"app/node_modules/x/lib/package.json": `{"name":"part","version":"1"}`,
	}, map[string]string{
		"app/node_modules/.wh.gone":                  "",
		"app/package-lock.json":                      `{"lockfileVersion":3,"packages":{"":{"version":"0"},"node_modules/@types/node":{"version":"20.1.0"},"node_modules/a/node_modules/b":{"version":"2.0.0"},"node_modules/l":{"link":true}}}`,
		"app/old/package-lock.json":                  `{"lockfileVersion":1,"dependencies":{"c":{"version":"3.0.0","dependencies":{"d":{"version":"4.0.0"}}}}}`,
		"app/node_modules/@s/e/package.json":         `{"name":"@s/e","version":"5.0.0"}`,
		"app/.venv/lib/flask-2.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: Flask\nVersion: 2.0\n\nName: Not\n",
		"app/Gemfile.lock":                           "GEM\n  specs:\n    rack (2.2.7)\n      no (>= 1)\n    puma (5.6.5-java)\n\nDEPENDENCIES\n  rack\n",
		"app/composer.lock":                          `{"packages":[{"name":"monolog/monolog","version":"v3.1.0"}],"packages-dev":[{"name":"no/no","version":"1"}]}`,
		"app/lib/x.jar":                              jar(t, map[string]string{"META-INF/maven/g/a/pom.properties": "groupId=org.g\nartifactId=a\nversion=1.0\n", "META-INF/MANIFEST.MF": "Implementation-Title: no\n"}),
		"app/lib/y-1.2.jar":                          jar(t, map[string]string{"META-INF/MANIFEST.MF": "Implementation-Title: y\r\nImplementation-Version: 1.2\r\n"}),
	}))
	want := []string{
		"debian 12", "pkg:composer/monolog/monolog@3.1.0", "pkg:deb/debian/bash@5.2%2Bb1?arch=amd64", "pkg:gem/puma@5.6.5-java", "pkg:gem/rack@2.2.7",
		"pkg:maven/y@1.2", "pkg:maven/org.g/a@1.0", "pkg:npm/b@2.0.0", "pkg:npm/c@3.0.0", "pkg:npm/d@4.0.0", "pkg:npm/%40s/e@5.0.0", "pkg:npm/%40types/node@20.1.0", "pkg:pypi/flask@2.0",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if left, _ := os.ReadDir(p.dir); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

func jar(t *testing.T, files map[string]string) string {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for name, text := range files {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestAGoProgramTellsItsModules(t *testing.T) {
	built := filepath.Join(t.TempDir(), "program")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", built, "./testdata/program").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	p := open(t)
	got := strings.Join(p.purls(p.push(map[string]string{"app/bin/web": string(program), "app/bin/broken": string(program[:200<<10])})), "\n")
	for _, want := range []string{"pkg:golang/stdlib@1.", "pkg:golang/github.com/slipway-paas/slipway", "pkg:golang/github.com/google/go-cmp@v"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
}

func TestDocumentsAreReferrersOfTheImage(t *testing.T) {
	p := open(t)
	ref := p.push(map[string]string{"app/Gemfile.lock": "GEM\n    rack (2.2.7)\n"})
	if _, err := p.Find(t.Context(), ref, sbom.TypeSBOM); !errors.Is(err, platform.ErrNotFound) {
		t.Errorf("before it was attached: %v", err)
	}
	at := time.Unix(1_700_000_000, 0)
	origin := &sbom.Origin{
		App: "blog", Build: "b1", Kind: "slug", Commit: strings.Repeat("a", 40), Branch: "main", Builder: "http://git.localhost",
		Detected: "Ruby", Stack: "stack@sha256:" + strings.Repeat("b", 64), Started: at, Ended: at.Add(time.Second), Version: "1",
	}
	for range 2 { // the second adds nothing
		if err := p.Attach(t.Context(), ref, origin); err != nil {
			t.Fatal(err)
		}
	}
	index, err := remote.Referrers(p.digest(ref), credential)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, one := range manifest.Manifests {
		kinds[one.ArtifactType]++
	}
	if len(manifest.Manifests) != 2 || kinds[sbom.TypeSBOM] != 1 || kinds[sbom.TypeProvenance] != 1 {
		t.Errorf("the referrers are %v", kinds)
	}
	tags, err := remote.List(p.digest(ref).Context(), credential)
	if err == nil && len(tags) > 0 {
		t.Errorf("tags were left: %v", tags)
	}
	text, err := p.Find(t.Context(), ref, sbom.TypeProvenance)
	if err != nil {
		t.Fatal(err)
	}
	var statement struct {
		Type          string `json:"_type"`
		PredicateType string
		Subject       []struct{ Digest map[string]string }
		Predicate     struct {
			BuildDefinition struct {
				ResolvedDependencies []struct {
					URI    string
					Digest map[string]string
				}
			}
			RunDetails struct {
				Builder  struct{ ID string }
				Metadata struct{ InvocationID, StartedOn, FinishedOn string }
			}
		}
	}
	if err := json.Unmarshal(text, &statement); err != nil {
		t.Fatal(err)
	}
	sources := statement.Predicate.BuildDefinition.ResolvedDependencies
	if statement.Type != "https://in-toto.io/Statement/v1" || statement.PredicateType != "https://slsa.dev/provenance/v1" ||
		"blog@sha256:"+statement.Subject[0].Digest["sha256"] != ref || len(sources) != 2 || sources[0].Digest["gitCommit"] != origin.Commit ||
		sources[1].Digest["sha256"] != strings.Repeat("b", 64) || statement.Predicate.RunDetails.Builder.ID != "http://git.localhost" ||
		statement.Predicate.RunDetails.Metadata.FinishedOn != "2023-11-14T22:13:21Z" {
		t.Errorf("%s", text)
	}
}

func TestAnImageThatIsNotThereHasNoDocument(t *testing.T) {
	p := open(t)
	if text, err := p.SBOM(t.Context(), "blog@sha256:"+strings.Repeat("0", 64)); err == nil {
		t.Errorf("%s", text)
	}
}

func TestSystemToolsFindTheDocuments(t *testing.T) {
	skopeo, err := exec.LookPath("skopeo")
	if err != nil {
		t.Skip("skopeo is not installed")
	}
	p := open(t)
	ref := p.push(map[string]string{"x": "y"})
	if err := p.Attach(t.Context(), ref, nil); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), skopeo, "inspect", "--raw", "--tls-verify=false", "--creds", "slipway:"+password, "docker://"+p.host+"/"+ref).CombinedOutput()
	if err != nil {
		t.Errorf("the image cannot be read any more: %v\n%s", err, out)
	}
}
