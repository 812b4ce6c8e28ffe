// Package sbom says what is in an image and where it came from: it is handed
// an image of the platform's registry, reads what package managers and
// compilers left in it, and attaches a CycloneDX document and a SLSA provenance
// to it as referrers (OCI distribution specification 1.1, end-12). What it reads
// was written by strangers: every file, count and second is bounded, and what
// cannot be read is left out.
package sbom
