package registry_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"testing"
	"time"
)

// The requirements of the OCI distribution specification 1.1, by its sections.

func TestSpecErrorCodesHaveTheBodyOfTheSpecification(t *testing.T) {
	w := newWorld(t)
	absent := "sha256:" + strings.Repeat("0", 64)
	for _, c := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/v2/blog/blobs/" + absent, 404, "BLOB_UNKNOWN"},
		{"HEAD", "/v2/blog/blobs/" + absent, 404, ""},
		{"GET", "/v2/blog/manifests/" + absent, 404, "MANIFEST_UNKNOWN"},
		{"GET", "/v2/blog/manifests/.INVALID_MANIFEST_NAME", 404, "MANIFEST_UNKNOWN"},
		{"GET", "/v2/blog/manifests/latest", 404, "MANIFEST_UNKNOWN"},
		{"DELETE", "/v2/blog/manifests/latest", 404, "MANIFEST_UNKNOWN"},
		{"DELETE", "/v2/blog/manifests/" + absent, 404, "MANIFEST_UNKNOWN"},
		{"DELETE", "/v2/blog/blobs/" + absent, 404, "BLOB_UNKNOWN"},
		{"GET", "/v2/blog/blobs/sha256:12", 400, "DIGEST_INVALID"},
		{"GET", "/v2/blog/referrers/sha256:12", 400, "DIGEST_INVALID"},
		{"PUT", "/v2/blog/manifests/sha256:12", 400, "DIGEST_INVALID"},
		{"GET", "/v2/Blog/tags/list", 400, "NAME_INVALID"},
		{"GET", "/v2/../tags/list", 400, "NAME_INVALID"},
		{"GET", "/v2/blog/tags/list", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/blog/tags/list?n=x", 400, "PAGINATION_NUMBER_INVALID"},
		{"PATCH", "/v2/blog/blobs/uploads/nosuch", 404, "BLOB_UPLOAD_UNKNOWN"},
		{"GET", "/v2/blog/blobs/uploads/nosuch", 404, "BLOB_UPLOAD_UNKNOWN"},
		{"GET", "/v2/blog/blobs/uploads/..", 404, ""},
		{"POST", "/v2/blog/tags/list", 405, "UNSUPPORTED"},
		{"GET", "/v2/blog", 404, "NAME_UNKNOWN"},
	} {
		a := w.do(c.method, c.path, nil)
		if a.status != c.status || c.code != "" && a.code() != c.code {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, a.status, a.body, c.status, c.code)
		}
	}
}

func TestSpecEnd1TheBaseTellsThatTheAPIIsThere(t *testing.T) {
	a := newWorld(t).must(200, "GET", "/v2/", nil)
	if a.header.Get("Docker-Distribution-API-Version") != "registry/2.0" {
		t.Errorf("headers: %v", a.header)
	}
}

func TestSpecPullABlobIsThereWholeAndByRanges(t *testing.T) {
	w := newWorld(t)
	digest := w.blob("blog", "0123456789")
	at := "/v2/blog/blobs/" + digest
	head := w.must(200, "HEAD", at, nil)
	if head.header.Get("Docker-Content-Digest") != digest || head.header.Get("Content-Length") != "10" {
		t.Errorf("HEAD: %v", head.header)
	}
	if got := w.must(200, "GET", at, nil); string(got.body) != "0123456789" || got.header.Get("Docker-Content-Digest") != digest {
		t.Errorf("GET: %q %v", got.body, got.header)
	}
	if got := w.must(206, "GET", at, nil, "Range", "bytes=2-4"); string(got.body) != "234" || got.header.Get("Content-Range") != "bytes 2-4/10" {
		t.Errorf("range: %q %v", got.body, got.header)
	}
	w.must(416, "GET", at, nil, "Range", "bytes=20-30")
	w.must(404, "GET", "/v2/shop/blobs/"+digest, nil) // of another repository
}

func TestSpecPullAManifestIsThereByTagAndByDigestAsItWasPushed(t *testing.T) {
	w := newWorld(t)
	manifest := w.image("blog", nil, "a layer")
	digest := w.put("blog", "latest", manifest)
	for _, ref := range []string{"latest", digest} {
		for _, accept := range []string{manifestType, "*/*", "application/vnd.docker.distribution.manifest.v2+json", ""} {
			a := w.must(200, "GET", "/v2/blog/manifests/"+ref, nil, "Accept", accept)
			if string(a.body) != string(manifest) || a.header.Get("Content-Type") != manifestType || a.header.Get("Docker-Content-Digest") != digest {
				t.Errorf("%s accepting %q: %v", ref, accept, a.header)
			}
		}
		a := w.must(200, "HEAD", "/v2/blog/manifests/"+ref, nil)
		if a.header.Get("Content-Length") != fmt.Sprint(len(manifest)) || a.header.Get("Docker-Content-Digest") != digest {
			t.Errorf("HEAD %s: %v", ref, a.header)
		}
	}
	w.must(304, "GET", "/v2/blog/manifests/latest", nil, "If-None-Match", `"`+digest+`"`)
}

func TestSpecPushABlobByPostThenPut(t *testing.T) {
	w := newWorld(t)
	content := []byte("all at once")
	begun := w.must(202, "POST", "/v2/blog/blobs/uploads/", nil)
	at := w.with(begun.header.Get("Location"), "digest", digestOf(content))
	done := w.must(201, "PUT", at, content, "Content-Type", "application/octet-stream")
	if w.must(200, "GET", done.header.Get("Location"), nil, "Content-Length", ""); done.header.Get("Docker-Content-Digest") != digestOf(content) {
		t.Errorf("PUT: %v", done.header)
	}
	w.must(404, "PUT", at, content) // the session is over
}

func TestSpecPushABlobByASinglePostMayFallBack(t *testing.T) {
	w := newWorld(t)
	content := []byte("in one post")
	a := w.must(202, "POST", "/v2/blog/blobs/uploads/?digest="+digestOf(content), content)
	w.must(201, "PUT", w.with(a.header.Get("Location"), "digest", digestOf(content)), content)
}

func TestSpecPushAWrongDigestIsRefusedAndNothingStays(t *testing.T) {
	w := newWorld(t)
	begun := w.must(202, "POST", "/v2/blog/blobs/uploads/", nil)
	if a := w.must(400, "PUT", begun.header.Get("Location"), []byte("x")); a.code() != "DIGEST_INVALID" {
		t.Errorf("without a digest: %s", a.body)
	}
	wrong := digestOf([]byte("other"))
	if a := w.must(400, "PUT", w.with(begun.header.Get("Location"), "digest", wrong), []byte("x")); a.code() != "DIGEST_INVALID" {
		t.Errorf("wrong digest: %s", a.body)
	}
	w.must(404, "HEAD", "/v2/blog/blobs/"+wrong, nil)
}

func TestSpecPushABlobInChunksInOrderOnly(t *testing.T) {
	w := newWorld(t)
	content := []byte("first second third")
	begun := w.must(202, "POST", "/v2/blog/blobs/uploads/", nil)
	first := w.must(202, "PATCH", begun.header.Get("Location"), content[:6], "Content-Range", "0-5", "Content-Type", "application/octet-stream")
	if first.header.Get("Range") != "0-5" {
		t.Errorf("range after the first chunk: %v", first.header)
	}
	for _, wrong := range []string{"0-5", "13-17", "7-12", "x"} {
		a := w.must(416, "PATCH", first.header.Get("Location"), content[6:13], "Content-Range", wrong)
		if a.header.Get("Range") != "0-5" || a.header.Get("Location") == "" {
			t.Errorf("out of order %s: %v", wrong, a.header)
		}
	}
	status := w.must(204, "GET", first.header.Get("Location"), nil)
	if status.header.Get("Range") != "0-5" || status.header.Get("Location") == "" {
		t.Errorf("status: %v", status.header)
	}
	second := w.must(202, "PATCH", status.header.Get("Location"), content[6:13], "Content-Range", "6-12")
	last := w.with(second.header.Get("Location"), "digest", digestOf(content))
	w.must(416, "PUT", last, content[13:], "Content-Range", "0-4")
	w.must(201, "PUT", last, content[13:], "Content-Range", "13-17")
	if got := w.must(200, "GET", "/v2/blog/blobs/"+digestOf(content), nil); string(got.body) != string(content) {
		t.Errorf("content: %q", got.body)
	}
}

func TestSpecPushChunksWithAnEmptyPutAtTheEnd(t *testing.T) {
	w := newWorld(t)
	begun := w.must(202, "POST", "/v2/blog/blobs/uploads/", nil)
	patched := w.must(202, "PATCH", begun.header.Get("Location"), []byte("streamed"))
	w.must(201, "PUT", w.with(patched.header.Get("Location"), "digest", digestOf([]byte("streamed"))), nil)
	w.must(201, "PUT", w.with(w.must(202, "POST", "/v2/blog/blobs/uploads/", nil).header.Get("Location"), "digest", digestOf(nil)), nil) // nothing at all
}

func TestSpecPushAnUploadCanBeCancelledAndSurvivesARestart(t *testing.T) {
	w := newWorld(t)
	begun := w.must(202, "POST", "/v2/blog/blobs/uploads/", nil)
	w.must(204, "DELETE", begun.header.Get("Location"), nil)
	w.must(404, "GET", begun.header.Get("Location"), nil)

	begun = w.must(202, "POST", "/v2/blog/blobs/uploads/", nil)
	half := w.must(202, "PATCH", begun.header.Get("Location"), []byte("before "))
	w.open()
	w.must(201, "PUT", w.with(half.header.Get("Location"), "digest", digestOf([]byte("before after"))), []byte("after"))
}

func TestSpecPushMountsABlobAndFallsBackToAnUpload(t *testing.T) {
	w := newWorld(t)
	digest := w.blob("blog", "shared")
	a := w.must(201, "POST", "/v2/shop/blobs/uploads/?mount="+digest+"&from=blog", nil)
	if a.header.Get("Docker-Content-Digest") != digest {
		t.Errorf("mounted: %v", a.header)
	}
	w.must(200, "GET", "/v2/shop/blobs/"+digest, nil)
	for _, query := range []string{"mount=" + digestOf([]byte("absent")) + "&from=blog", "mount=x&from=blog", "mount=" + digest + "&from=../blog", "mount=" + digest} {
		if a := w.must(202, "POST", "/v2/shop/blobs/uploads/?"+query, nil); a.header.Get("Location") == "" {
			t.Errorf("%s: %v", query, a.header)
		}
	}
}

func TestSpecPushManifestsAreCheckedForWhatTheySay(t *testing.T) {
	w := newWorld(t)
	good := w.image("blog", nil, "layer")
	missing := encode(t, object{"schemaVersion": 2, "mediaType": manifestType, "config": describe("a/b", "{}"), "layers": []object{describe("a/b", "absent")}})
	for name, c := range map[string]struct {
		ref, kind, body, code string
		status                int
	}{
		"a missing blob":       {"t", manifestType, string(missing), "MANIFEST_BLOB_UNKNOWN", 400},
		"another digest":       {digestOf([]byte("x")), manifestType, string(good), "DIGEST_INVALID", 400},
		"no tag":               {"-x", manifestType, string(good), "MANIFEST_INVALID", 400},
		"no JSON":              {"t", manifestType, "{", "MANIFEST_INVALID", 400},
		"no manifest":          {"t", "application/json", string(good), "MANIFEST_INVALID", 400},
		"two types":            {"t", indexType, string(good), "MANIFEST_INVALID", 400},
		"more than four MiB":   {"t", manifestType, strings.Repeat(" ", 4<<20) + string(good), "SIZE_INVALID", 413},
		"a subject of no kind": {"t", manifestType, string(w.image("blog", object{"subject": object{"digest": "sha512:ab"}})), "DIGEST_INVALID", 400},
	} {
		a := w.do("PUT", "/v2/blog/manifests/"+c.ref, []byte(c.body), "Content-Type", c.kind)
		if a.status != c.status || a.code() != c.code {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	a := w.must(201, "PUT", "/v2/blog/manifests/t", good, "Content-Type", manifestType+"; charset=utf-8")
	if a.header.Get("Docker-Content-Digest") != digestOf(good) || a.header.Get("OCI-Subject") != "" {
		t.Errorf("pushed: %v", a.header)
	}
	w.must(200, "GET", a.header.Get("Location"), nil)
}

func TestSpecPushTakesArtifactsOfEveryType(t *testing.T) {
	w := newWorld(t)
	w.blob("blog", "{}")
	w.blob("blog", "some bytes")
	artifact := encode(t, object{
		"schemaVersion": 2, "mediaType": manifestType, "artifactType": "application/vnd.example.thing",
		"config": describe("application/vnd.oci.empty.v1+json", "{}"), "layers": []object{describe("text/x-anything", "some bytes")},
	})
	w.put("blog", "thing", artifact)
	w.put("blog", "", encode(t, object{"schemaVersion": 2, "mediaType": indexType, "manifests": []object{}}))
	w.put("blog/deep/er", "thing", w.image("blog/deep/er", nil, "x"))
}

func TestSpecContentDiscoveryListsTagsInOrderAndByPages(t *testing.T) {
	w := newWorld(t)
	manifest := w.image("blog", nil, "layer")
	w.put("blog", "", manifest)
	list := func(query string) (tags []string, link string) {
		a := w.must(200, "GET", "/v2/blog/tags/list"+query, nil)
		var body struct {
			Name string
			Tags []string
		}
		if err := json.Unmarshal(a.body, &body); err != nil || body.Name != "blog" || body.Tags == nil || a.header.Get("Content-Type") != "application/json" {
			t.Fatalf("%s: %s", query, a.body)
		}
		return body.Tags, a.header.Get("Link")
	}
	if tags, _ := list(""); len(tags) != 0 {
		t.Errorf("no tags yet: %v", tags)
	}
	all := []string{"1.0", "A", "_b", "a", "a-b", "z"}
	for _, tag := range []string{"z", "a-b", "a", "_b", "A", "1.0"} {
		w.put("blog", tag, manifest)
	}
	if tags, link := list(""); !slices.Equal(tags, all) || link != "" {
		t.Errorf("all: %v %s", tags, link)
	}
	if tags, _ := list("?n=0"); len(tags) != 0 {
		t.Errorf("n=0: %v", tags)
	}
	var seen []string
	for at := "?n=4"; ; {
		tags, link := list(at)
		seen = append(seen, tags...)
		if link == "" {
			break
		}
		at = strings.TrimSuffix(strings.TrimPrefix(link, "</v2/blog/tags/list"), `>; rel="next"`)
	}
	if !slices.Equal(seen, all) {
		t.Errorf("by pages: %v", seen)
	}
	if tags, _ := list("?n=2&last=_b"); !slices.Equal(tags, []string{"a", "a-b"}) {
		t.Errorf("after _b: %v", tags)
	}
	if tags, _ := list("?last=B"); !slices.Equal(tags, []string{"_b", "a", "a-b", "z"}) {
		t.Errorf("after what is no tag: %v", tags)
	}
}

func TestSpecContentManagementDeletesTagsManifestsAndBlobs(t *testing.T) {
	w := newWorld(t)
	manifest := w.image("blog", nil, "layer")
	digest := w.put("blog", "one", manifest)
	w.put("blog", "two", manifest)
	w.must(202, "DELETE", "/v2/blog/manifests/one", nil)
	w.must(404, "GET", "/v2/blog/manifests/one", nil)
	w.must(200, "GET", "/v2/blog/manifests/two", nil)
	if a := w.must(403, "DELETE", "/v2/blog/blobs/"+digestOf([]byte("layer")), nil); a.code() != "DENIED" {
		t.Errorf("a blob in use: %s", a.body)
	}
	w.must(202, "DELETE", "/v2/blog/manifests/"+digest, nil)
	w.must(404, "GET", "/v2/blog/manifests/"+digest, nil)
	w.must(404, "GET", "/v2/blog/manifests/two", nil)
	w.must(202, "DELETE", "/v2/blog/blobs/"+digestOf([]byte("layer")), nil)
	w.must(404, "HEAD", "/v2/blog/blobs/"+digestOf([]byte("layer")), nil)
	w.must(404, "DELETE", "/v2/blog/manifests/"+digest, nil)
}

func TestSpecReferrersAreListedForASubject(t *testing.T) {
	w := newWorld(t)
	subject := w.image("blog", nil, "layer")
	id := w.put("blog", "latest", subject)
	about := object{"subject": object{"mediaType": manifestType, "digest": id, "size": len(subject)}}
	with := func(more object) object {
		maps.Copy(more, about)
		return more
	}
	if found := w.referring("blog", id, ""); len(found) != 0 {
		t.Errorf("before any: %v", found)
	}
	sbom := w.image("blog", with(object{"artifactType": "application/spdx+json", "annotations": object{"made": "by hand"}}), "the sbom")
	plain := w.image("blog", with(object{}), "no artifact type")
	index := encode(t, with(object{"schemaVersion": 2, "mediaType": indexType, "artifactType": "x/index", "manifests": []object{}}))
	var all []string
	for _, m := range [][]byte{sbom, plain, index} {
		kind := manifestType
		if string(m) == string(index) {
			kind = indexType
		}
		a := w.must(201, "PUT", "/v2/blog/manifests/"+digestOf(m), m, "Content-Type", kind)
		if a.header.Get("OCI-Subject") != id {
			t.Errorf("OCI-Subject: %v", a.header)
		}
		all = append(all, digestOf(m))
	}
	slices.Sort(all)

	a := w.must(200, "GET", "/v2/blog/referrers/"+id, nil)
	if a.header.Get("Content-Type") != indexType || a.header.Get("OCI-Filters-Applied") != "" {
		t.Errorf("headers: %v", a.header)
	}
	var listed struct {
		SchemaVersion int
		Manifests     []struct {
			MediaType, Digest, ArtifactType string
			Size                            int
			Annotations                     map[string]string
		}
	}
	if err := json.Unmarshal(a.body, &listed); err != nil || listed.SchemaVersion != 2 || len(listed.Manifests) != 3 {
		t.Fatalf("%v %s", err, a.body)
	}
	for _, m := range listed.Manifests {
		switch m.Digest {
		case digestOf(sbom):
			if m.ArtifactType != "application/spdx+json" || m.Annotations["made"] != "by hand" || m.Size != len(sbom) || m.MediaType != manifestType {
				t.Errorf("sbom: %+v", m)
			}
		case digestOf(plain):
			if m.ArtifactType != "application/vnd.oci.image.config.v1+json" {
				t.Errorf("plain: %+v", m)
			}
		case digestOf(index):
			if m.ArtifactType != "x/index" || m.MediaType != indexType {
				t.Errorf("index: %+v", m)
			}
		}
	}
	filtered := w.must(200, "GET", "/v2/blog/referrers/"+id+"?artifactType=application/spdx%2Bjson", nil)
	if filtered.header.Get("OCI-Filters-Applied") != "artifactType" || strings.Count(string(filtered.body), `"digest"`) != 1 {
		t.Errorf("filtered: %v %s", filtered.header, filtered.body)
	}

	var paged []string
	for at := "/v2/blog/referrers/" + id + "?n=1"; at != ""; {
		a := w.must(200, "GET", at, nil)
		_ = json.Unmarshal(a.body, &listed)
		paged = append(paged, listed.Manifests[0].Digest)
		at = strings.TrimSuffix(strings.TrimPrefix(a.header.Get("Link"), "<"), `>; rel="next"`)
	}
	if !slices.Equal(paged, all) {
		t.Errorf("by pages: %v", paged)
	}

	w.open()
	if found := w.referring("blog", id, ""); !slices.Equal(found, all) {
		t.Errorf("after a restart: %v", found)
	}
	w.must(202, "DELETE", "/v2/blog/manifests/"+digestOf(sbom), nil)
	if found := w.referring("blog", id, ""); len(found) != 2 || slices.Contains(found, digestOf(sbom)) {
		t.Errorf("after a deletion: %v", found)
	}
}

func TestSpecReferrersMayComeBeforeTheirSubject(t *testing.T) {
	w := newWorld(t)
	subject := w.image("blog", nil, "later")
	w.put("blog", "", w.image("blog", object{"artifactType": "a/b", "subject": describe(manifestType, string(subject))}, "about it"))
	if found := w.referring("blog", digestOf(subject), ""); len(found) != 1 {
		t.Errorf("found: %v", found)
	}
	if found := w.referring("nowhere", digestOf(subject), ""); len(found) != 0 {
		t.Errorf("in another repository: %v", found)
	}
}

func TestSpecReferrersOfPushersWithoutTheAPIAreReadFromTheirTag(t *testing.T) {
	w := newWorld(t)
	subject := w.put("blog", "latest", w.image("blog", nil, "layer"))
	old := w.image("blog", object{"artifactType": "old/one"}, "pushed without a subject")
	w.put("blog", "", old)
	listed := describe(manifestType, string(old))
	listed["artifactType"] = "old/one"
	gone := w.image("blog", nil, "deleted since")
	w.put("blog", "", gone)
	tag := strings.Replace(subject, ":", "-", 1)
	w.put("blog", tag, encode(t, object{"schemaVersion": 2, "mediaType": indexType, "manifests": []object{listed, describe(manifestType, string(gone))}}))
	w.must(202, "DELETE", "/v2/blog/manifests/"+digestOf(gone), nil)
	if found := w.referring("blog", subject, "?artifactType=old/one"); !slices.Equal(found, []string{digestOf(old)}) {
		t.Errorf("found: %v", found)
	}
}

func TestTwoRequestsNeverWriteToOneUpload(t *testing.T) {
	w := newWorld(t)
	begun := w.must(202, "POST", "/v2/blog/blobs/uploads/", nil)
	body, send := io.Pipe()
	reading := make(chan struct{}) // the server asks for the body once it has the upload
	trace := &httptrace.ClientTrace{Got100Continue: func() { close(reading) }}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodPatch, w.url+begun.header.Get("Location"), body)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("slipway", password)
	r.Header.Set("Expect", "100-continue")
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
	defer client.CloseIdleConnections()
	ended := make(chan *http.Response, 1)
	go func() {
		answer, err := client.Do(r)
		if err != nil {
			t.Error(err)
		}
		ended <- answer
	}()
	<-reading
	if a := w.do("PATCH", begun.header.Get("Location"), []byte("other")); a.status != 409 || a.code() != "BLOB_UPLOAD_INVALID" {
		t.Errorf("a second writer: %d %s", a.status, a.body)
	}
	_, _ = send.Write([]byte("first"))
	_ = send.Close()
	answer := <-ended
	defer answer.Body.Close()
	if answer.StatusCode != 202 {
		t.Fatalf("the first writer: %s", answer.Status)
	}
	w.must(201, "PUT", w.with(answer.Header.Get("Location"), "digest", digestOf([]byte("first"))), nil)
}
