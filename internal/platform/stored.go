package platform

// StoredImage is an image of an app as the registry has it.
type StoredImage struct {
	Ref      string // repository@digest
	Missing  bool   // it was collected, or never came
	Size     int64  // compressed bytes of its layers
	Layers   []StoredLayer
	Attached []Attachment
	// Wasted is how many uncompressed bytes lower layers have in files that a
	// higher one replaces or removes; -1: not known, as nobody read them yet.
	Wasted int64
	// Builds and Releases use it, the latter ascending.
	Builds   []string
	Releases []int
	Kind     ImageKind
	Source   string
}

// StoredLayer is a layer, lowest first.
type StoredLayer struct {
	Digest string
	Size   int64 // compressed
	Shared bool  // another image of the registry has it too
}

// Attachment is what refers to an image, such as its bill of materials.
type Attachment struct {
	Digest, Type string
	Size         int64
}

// StoredImages are the images that an app's releases use, and what its
// repositories hold in all.
type StoredImages struct {
	Images []StoredImage
	Used   int64 // bytes, of each blob once
	Quota  int64 // bytes; 0: any number
}

// CollectedImages is what a collection of garbage removed, or would have.
type CollectedImages struct {
	Manifests, Layers, Uploads, Blobs, Repositories int
	Bytes                                           int64 // of blobs and uploads
	Skipped                                         int   // in use just then: the next one takes them
}
