"""The files of the Helm chart that are made from the code.

values     every value of the chart, as data
schema     values.schema.json, with which Helm refuses wrong values
texts      values.yaml, Chart.yaml and the chart's README
generated  the files, each with the function that makes its text
"""
