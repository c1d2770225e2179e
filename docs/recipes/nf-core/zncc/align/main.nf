process ZNCC_ALIGN {
    tag "${meta.id}"
    label 'process_single'

    conda "${moduleDir}/environment.yml"
    container "zncc-cli:latest"  // docker build --target cpu -t zncc-cli .

    input:
    tuple val(meta), path(fixed), path(moving)

    output:
    tuple val(meta), path("${prefix}/aligned.tif")   , emit: aligned
    tuple val(meta), path("${prefix}/transform.json"), emit: transform
    tuple val(meta), path("${prefix}/report.json")   , emit: report
    tuple val(meta), path("${prefix}/report.html")   , emit: html     , optional: true
    path "versions.yml"                              , emit: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    export OMP_NUM_THREADS=${task.cpus}
    zncc-align ${fixed} ${moving} ${args} --reproducible --out ${prefix}

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        zncc-cli: \$(zncc --version | sed 's/zncc-cli //')
    END_VERSIONS
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    mkdir ${prefix}
    touch ${prefix}/aligned.tif ${prefix}/transform.json ${prefix}/report.json ${prefix}/report.html

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        zncc-cli: \$(zncc --version | sed 's/zncc-cli //')
    END_VERSIONS
    """
}
