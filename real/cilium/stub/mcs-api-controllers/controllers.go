// Package controllers stands in for sigs.k8s.io/mcs-api/controllers, which not every Go module proxy serves.
// Cilium's operator takes one constant from it.
package controllers

// DerivedServiceAnnotation names, on a ServiceImport, the Service derived from it.
const DerivedServiceAnnotation = "multicluster.kubernetes.io/derived-service"
