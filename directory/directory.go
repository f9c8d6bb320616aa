// Package directory knows who the professionals are.
package directory
