package registry_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/slipway-paas/slipway/internal/registry"
)

func (w *world) collect(dryRun bool) registry.Collected {
	w.t.Helper()
	found, err := w.registry.Collect(w.t.Context(), dryRun)
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

func (w *world) has(path string) bool {
	w.t.Helper()
	return w.do("HEAD", path, nil).status == 200
}

func TestWhatNothingNeedsIsCollectedOnceItIsOld(t *testing.T) {
	w := newWorld(t)
	tagged := w.put("blog", "keep", w.image("blog", nil, "tagged"))
	released := w.put("blog", "", w.image("blog", nil, "released"))
	w.images = []string{"blog@" + released}
	child := w.image("blog", nil, "child")
	w.put("blog", "", child)
	w.put("blog", "many", encode(t, object{"schemaVersion": 2, "mediaType": indexType, "manifests": []object{describe(manifestType, string(child))}}))
	about := func(digest string) object {
		return object{"artifactType": "a/b", "subject": object{"mediaType": manifestType, "digest": digest, "size": 1}}
	}
	sbom := w.put("blog", "", w.image("blog", about(released), "sbom"))
	signature := w.put("blog", "", w.image("blog", about(sbom), "signature of the sbom"))
	orphan := w.put("blog", "", w.image("blog", nil, "orphan", "tagged"))
	lost := w.put("blog", "", w.image("blog", about(orphan), "about the orphan"))
	w.blob("blog", "never named")
	w.must(202, "POST", "/v2/blog/blobs/uploads/", nil)

	if found := w.collect(false); found.Manifests+found.Layers+found.Blobs+found.Uploads > 0 {
		t.Errorf("collected young: %+v", found)
	}
	w.age(nil)
	expected := w.collect(true)
	if !strings.Contains(fmt.Sprintf("%+v", expected), "Manifests:2 Layers:3 Uploads:1 Blobs:5") || expected.Bytes == 0 {
		t.Errorf("would collect %+v", expected)
	}
	if found := w.collect(false); found != expected {
		t.Errorf("collected %+v, said %+v", found, expected)
	}
	for _, kept := range []string{tagged, released, digestOf(child), sbom, signature} {
		if !w.has("/v2/blog/manifests/" + kept) {
			t.Errorf("lost manifest %s", kept)
		}
	}
	for _, kept := range []string{"{}", "tagged", "released", "child", "sbom", "signature of the sbom"} {
		if !w.has("/v2/blog/blobs/" + digestOf([]byte(kept))) {
			t.Errorf("lost blob %q", kept)
		}
	}
	for _, gone := range []string{orphan, lost} {
		if w.has("/v2/blog/manifests/" + gone) {
			t.Errorf("kept manifest %s", gone)
		}
	}
	for _, gone := range []string{"orphan", "about the orphan", "never named"} {
		if w.has("/v2/blog/blobs/" + digestOf([]byte(gone))) {
			t.Errorf("kept blob %q", gone)
		}
	}
	if found := w.collect(false); found.Manifests+found.Layers+found.Blobs > 0 {
		t.Errorf("collected twice: %+v", found)
	}
}

func TestAnOldBlobThatAPusherWasToldOfIsThereWhenItsManifestComes(t *testing.T) {
	for name, rely := range map[string]func(w *world){
		"HEAD": func(w *world) { w.must(200, "HEAD", "/v2/blog/blobs/"+digestOf([]byte("old")), nil) },
		"mount": func(w *world) {
			w.must(201, "POST", "/v2/shop/blobs/uploads/?from=blog&mount="+digestOf([]byte("old")), nil)
		},
		"push": func(w *world) { w.blob("shop", "old") },
	} {
		w := newWorld(t)
		w.blob("blog", "old")
		w.age(nil)
		rely(w)
		w.collect(false)
		repo := "shop"
		if name == "HEAD" {
			repo = "blog"
		}
		if !w.has("/v2/" + repo + "/blobs/" + digestOf([]byte("old"))) {
			t.Errorf("after %s it was collected", name)
		}
	}
}

// A collection that marked before the manifest came looks at the age of what it
// would remove.
func TestAManifestMakesAllItNamesYoung(t *testing.T) {
	w := newWorld(t)
	child := w.image("blog", nil, "old layer")
	w.put("blog", "", child)
	index := encode(t, object{"schemaVersion": 2, "mediaType": indexType, "manifests": []object{describe(manifestType, string(child))}})
	w.age(nil)
	w.must(201, "PUT", "/v2/blog/manifests/again", child, "Content-Type", manifestType)
	w.wantYoung(digestOf([]byte("old layer")), digestOf([]byte("{}")), digestOf(child))
	w.age(nil)
	w.put("blog", "many", index)
	w.wantYoung(digestOf(child), digestOf(index))
	w.age(nil)
	w.put("blog", "", w.image("blog", object{"artifactType": "a/b", "subject": describe(indexType, string(index))}, "about"))
	w.wantYoung(digestOf(index))
}

// wantYoung finds every file of the digests touched of late.
func (w *world) wantYoung(digests ...string) {
	w.t.Helper()
	for _, digest := range digests {
		found := 0
		_ = filepath.WalkDir(w.dir, func(path string, entry os.DirEntry, _ error) error {
			hex := strings.TrimPrefix(digest, "sha256:")
			if base := filepath.Base(path); (base != "link" && base != "data") || filepath.Base(filepath.Dir(path)) != hex || strings.Contains(path, "/tags/") {
				return nil
			}
			found++
			if info, err := entry.Info(); err != nil || time.Since(info.ModTime()) > time.Hour {
				w.t.Errorf("%s is old: %v", path, err)
			}
			return nil
		})
		if found < 2 {
			w.t.Errorf("%s has %d files", digest, found)
		}
	}
}

func TestAnOldUploadThatIsCompletedIsAYoungBlob(t *testing.T) {
	w := newWorld(t)
	begun := w.must(202, "POST", "/v2/blog/blobs/uploads/", nil)
	half := w.must(202, "PATCH", begun.header.Get("Location"), []byte("slow"))
	w.age(nil)
	w.must(201, "PUT", w.with(half.header.Get("Location"), "digest", digestOf([]byte("slow"))), nil)
	w.collect(false)
	if !w.has("/v2/blog/blobs/" + digestOf([]byte("slow"))) {
		t.Error("it was collected")
	}
}

func TestTheRepositoriesOfADestroyedAppGo(t *testing.T) {
	w := newWorld(t)
	shared := w.put("blog", "latest", w.image("blog", nil, "deployed by shop too"))
	w.put("blog/side", "latest", w.image("blog/side", nil, "of blog alone"))
	w.put("shop", "latest", w.image("shop", nil, "of shop"))
	w.images = []string{"blog@" + shared}
	w.apps = []string{"shop"}
	if err := w.registry.Remove(t.Context(), "blog"); err != nil {
		t.Fatal(err)
	}
	w.must(404, "GET", "/v2/blog/side/tags/list", nil)
	if a := w.must(200, "GET", "/v2/blog/tags/list", nil); strings.Contains(string(a.body), "latest") {
		t.Errorf("tags: %s", a.body)
	}
	w.must(200, "GET", "/v2/blog/manifests/"+shared, nil)
	w.age(nil)
	if found := w.collect(false); found.Blobs != 2 { // a manifest and its layer
		t.Errorf("collected %+v", found)
	}
	w.must(200, "GET", "/v2/blog/blobs/"+digestOf([]byte("deployed by shop too")), nil)
	w.must(200, "GET", "/v2/shop/manifests/latest", nil)
	w.images = nil
	w.age(nil)
	w.collect(false)
	w.must(404, "GET", "/v2/blog/tags/list", nil)
	if _, err := os.Stat(filepath.Join(w.dir, "docker/registry/v2/repositories/blog")); !os.IsNotExist(err) {
		t.Errorf("the repository's directory: %v", err)
	}
}

func TestARenamedAppHasItsImagesUnderItsNewName(t *testing.T) {
	w := newWorld(t)
	manifest := w.image("blog", nil, "layer")
	digest := w.put("blog", "latest", manifest)
	sbom := w.put("blog", "", w.image("blog", object{"artifactType": "a/b", "subject": describe(manifestType, string(manifest))}, "sbom"))
	w.put("blog/side", "x", w.image("blog/side", nil, "layer"))
	for range 2 {
		if err := w.registry.Rename("blog", "log"); err != nil {
			t.Fatal(err)
		}
	}
	w.apps = []string{"log", "shop"}
	if err := w.registry.Remove(t.Context(), "blog"); err != nil {
		t.Fatal(err)
	}
	w.age(nil)
	w.collect(false)
	for _, path := range []string{"/v2/log/manifests/latest", "/v2/log/manifests/" + digest, "/v2/log/blobs/" + digestOf([]byte("layer")), "/v2/log/side/manifests/x"} {
		if !w.has(path) {
			t.Errorf("lost %s", path)
		}
	}
	if found := w.referring("log", digest, ""); !slices.Equal(found, []string{sbom}) {
		t.Errorf("referrers: %v", found)
	}
	w.must(404, "GET", "/v2/blog/manifests/latest", nil)
}

// layerOf is a layer of known content.
func layerOf(text string) v1.Layer { return static.NewLayer([]byte(text), types.OCILayer) }

func imageOf(t *testing.T, layers ...v1.Layer) v1.Image {
	t.Helper()
	image, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), layers...)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// tell builds an image of layers that are old orphans of the registry, of
// which pushers are told that they are there, and of one of its own.
func tell(t *testing.T, orphans []string, n int) v1.Image {
	layers := []v1.Layer{layerOf(fmt.Sprintf("of push %d alone", n))}
	for range 3 {
		layers = append(layers, layerOf(orphans[rand.IntN(len(orphans))]))
	}
	return imageOf(t, layers...)
}

func TestTwoHundredPushesLoseNothingToCollectionsBesideThem(t *testing.T) {
	w := newWorld(t)
	var orphans []string
	for i := range 40 {
		orphans = append(orphans, fmt.Sprintf("orphan %d %s", i, strings.Repeat("x", 1000)))
		w.blob("blog", orphans[i])
	}
	w.age(nil)
	repo, err := name.NewRepository(strings.TrimPrefix(w.url, "http://")+"/blog", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	as := remote.WithAuth(&authn.Basic{Username: "slipway", Password: password})
	stop, collecting := make(chan struct{}), sync.WaitGroup{}
	var collections, removed atomic.Int64
	collecting.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			found, err := w.registry.Collect(t.Context(), false)
			if err != nil {
				t.Error(err)
				return
			}
			collections.Add(1)
			removed.Add(int64(found.Layers))
		}
	})
	const pushes, clients = 200, 10
	var pushing sync.WaitGroup
	for client := range clients {
		pushing.Go(func() {
			for n := client; n < pushes; n += clients {
				if err := remote.Write(repo.Tag(fmt.Sprint("n", n)), tell(t, orphans[:36], n), as); err != nil { // and nobody names the last
					t.Errorf("push %d: %v", n, err)
				}
			}
		})
	}
	pushing.Wait()
	for collections.Load() < 2 && !t.Failed() { // on a busy machine the pushes may be the quicker ones
		time.Sleep(time.Millisecond)
	}
	close(stop)
	collecting.Wait()
	w.age(nil)
	w.collect(false)
	w.verify("blog")
	for n := range pushes {
		if !w.has(fmt.Sprint("/v2/blog/manifests/n", n)) {
			t.Errorf("image %d was lost", n)
		}
	}
	if collections.Load() < 2 || removed.Load() == 0 {
		t.Errorf("%d collections removed %d layers: they were not beside the pushes", collections.Load(), removed.Load())
	}
}

// TestCollectorProcess is the process that the test after it kills.
func TestCollectorProcess(t *testing.T) {
	dir := os.Getenv("REGISTRY_TO_COLLECT")
	if dir == "" {
		t.Skip("it is run by another test")
	}
	w := &world{t: t, dir: dir, apps: []string{"blog"}, releases: map[string]string{}, quotas: map[string]int64{}}
	w.open()
	fmt.Println("collecting")
	w.collect(false)
}

func TestARegistryWhoseCollectionIsKilledIsWhole(t *testing.T) {
	w := newWorld(t)
	for i := range 60 {
		manifest := w.image("blog", nil, fmt.Sprint("layer ", i), fmt.Sprint("shared ", i/2))
		w.put("blog", "", manifest)
		if i%2 == 0 {
			w.put("blog", fmt.Sprint("keep-", i), manifest)
		}
		w.put("blog", "", w.image("blog", object{"artifactType": "a/b", "subject": describe(manifestType, string(manifest))}, fmt.Sprint("about ", i)))
	}
	for attempt := range 8 {
		w.age(nil)
		command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCollectorProcess$")
		command.Env = append(os.Environ(), "REGISTRY_TO_COLLECT="+w.dir)
		output, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		for said := []byte{}; !bytes.Contains(said, []byte("collecting")); {
			part := make([]byte, 64)
			n, err := output.Read(part)
			if said = append(said, part[:n]...); err != nil {
				t.Fatalf("%v: %s", err, said)
			}
		}
		before := count(t, w.dir)
		for i := 0; i < 1+attempt*40 && count(t, w.dir) == before; i++ { // somewhere in it
		}
		_ = command.Process.Signal(syscall.SIGKILL)
		_ = command.Wait()
		w.verify("blog")
	}
	w.open()
	w.age(nil)
	w.collect(false)
	w.verify("blog")
	for i := 0; i < 60; i += 2 {
		if !w.has(fmt.Sprint("/v2/blog/manifests/keep-", i)) {
			t.Errorf("lost tag keep-%d", i)
		}
	}
}

// count is how many files a directory has.
func count(t *testing.T, dir string) (files int) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(string, os.DirEntry, error) error { files++; return nil })
	return files
}

// verify reads every manifest of a repository and all it names from the disk,
// as a reader finds them, without making any of it young.
func (w *world) verify(repo string) {
	w.t.Helper()
	root := filepath.Join(w.dir, "docker/registry/v2")
	links, err := filepath.Glob(filepath.Join(root, "repositories", repo, "_manifests/revisions/sha256/*/link"))
	if err != nil || len(links) == 0 {
		w.t.Fatalf("no manifests: %v", err)
	}
	data := func(digest string) []byte {
		hex := strings.TrimPrefix(digest, "sha256:")
		text, err := os.ReadFile(filepath.Join(root, "blobs/sha256", hex[:2], hex, "data"))
		if err != nil || digestOf(text) != digest {
			w.t.Errorf("blob %s: %v", digest, err)
		}
		return text
	}
	for _, link := range links {
		digest, err := os.ReadFile(link)
		if err != nil {
			w.t.Fatal(err)
		}
		manifest, err := v1.ParseManifest(bytes.NewReader(data(string(digest))))
		if err != nil {
			w.t.Fatal(err)
		}
		for _, named := range append(manifest.Layers, manifest.Config) {
			data(named.Digest.String())
			if _, err := os.Stat(filepath.Join(root, "repositories", repo, "_layers/sha256", named.Digest.Hex, "link")); err != nil {
				w.t.Errorf("%s of %s: %v", named.Digest, digest, err)
			}
		}
	}
}
